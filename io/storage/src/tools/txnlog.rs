//! `zkTxnLogToolkit.sh`: dump, repair of checksums, chop.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::{ToolFailure, file_name, txn_line};
use crate::history::PAYLOAD_MAX_DEFAULT;
use crate::log::LogOptions;
use crate::record::{
    END_OF_RECORD, FILE_HEADER_LEN, LOG_HEADER, RECORD_HEAD, RECORD_OVERHEAD, adler32, parse_head,
    payload_zxid,
};
use crate::vfs::{Access, Vfs, VfsFile};
use crate::window::{FileSource, Window};

/// What to do while dumping.
#[derive(Debug, Clone, Copy, Default)]
pub struct DumpOptions {
    /// `-r`: write a copy with right checksums.
    pub recover: bool,
    /// `-v`: while repairing, print all txns and not only the repaired ones.
    pub verbose: bool,
    /// `-y`: repair without asking.
    pub yes: bool,
}

/// Prints every txn of a log file. With `recover`, writes `FILE.fixed`, where records with wrong checksums have right
/// ones as far as the answers read from `input` agree.
pub fn dump_txn_log(
    vfs: &dyn Vfs,
    path: &Path,
    options: &DumpOptions,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), ToolFailure> {
    let mut log = RawLog::open(vfs, path)?;
    let mut fixed = if options.recover {
        Some(Copy::create(vfs, path, ".fixed", true)?)
    } else {
        None
    };
    let mut answers = Answers {
        input,
        words: Vec::new(),
    };
    log.print_header(out)?;
    let (mut count, mut repaired) = (0, 0);
    while let Some(mut record) = log.next()? {
        let right = u64::from(adler32(&record.payload));
        if record.sum != right {
            let fix = options.recover && options.yes;
            let word = if fix { "FIXED" } else { "ERROR" };
            write!(out, "CRC {word} - {}", txn_line(&record.payload))?;
            if fix || options.recover && answers.want_fix(out)? {
                record.sum = right;
                repaired += 1;
            }
        }
        if !options.recover || options.verbose {
            write!(out, "{}", txn_line(&record.payload))?;
        }
        if !log.ends_well(&record)? {
            return Err(ToolFailure::new(1, "Last transaction was partial."));
        }
        if let Some(fixed) = &mut fixed {
            fixed.put(&record)?;
        }
        count += 1;
    }
    writeln!(out, "EOF reached after {count} txns.")?;
    if let Some(fixed) = fixed {
        let name = file_name(&fixed.path);
        fixed.finish()?;
        writeln!(
            out,
            "Recovery file {name} has been written with {repaired} fixed CRC error(s)"
        )?;
    }
    Ok(())
}

/// Writes `FILE.chopped<zxid>` with the txns up to `zxid` (printed as a decimal number, as Apache's tool takes it). As
/// with Apache's, a zxid that is not in the file is said on standard output and is no failure.
pub fn chop_txn_log(
    vfs: &dyn Vfs,
    path: &Path,
    zxid: u64,
    out: &mut dyn Write,
) -> Result<(), ToolFailure> {
    let mut log = RawLog::open(vfs, path)?;
    let mut copy = Copy::create(vfs, path, &format!(".chopped{zxid}"), false)?;
    log.print_header(out)?;
    let mut count = 0;
    let mut found = false;
    while let Some(record) = log.next()? {
        if record.sum != u64::from(adler32(&record.payload)) {
            return Err(ToolFailure::new(
                1,
                format!("CRC check failed behind {count} txns"),
            ));
        }
        let this = payload_zxid(&record.payload).unwrap_or_default().0;
        if !log.ends_well(&record)? {
            return Err(ToolFailure::new(1, "Last transaction was partial."));
        }
        copy.put(&record)?;
        count += 1;
        if this >= zxid {
            found = this == zxid;
            break;
        }
    }
    copy.finish()?;
    if found {
        writeln!(out, "Chopping at {zxid:x} new log has {count} records")?;
    } else {
        writeln!(out, "EOF reached after {count} txns.")?;
        writeln!(out, "Got exception: Failed to chop {}", file_name(path))?;
    }
    Ok(())
}

/// A log file without any opinion on its records.
struct RawLog {
    window: Window<FileSource>,
    path: PathBuf,
    header: [u8; FILE_HEADER_LEN],
}

struct RawRecord {
    sum: u64,
    payload: Vec<u8>,
}

impl RawLog {
    fn open(vfs: &dyn Vfs, path: &Path) -> Result<Self, ToolFailure> {
        let Ok(file) = vfs.open(path, Access::Read) else {
            let message = format!("File doesn't exist or not readable: {}", path.display());
            return Err(ToolFailure::new(1, message));
        };
        let mut window = Window::new(FileSource::new(file));
        let mut header = [0; FILE_HEADER_LEN];
        let whole = window
            .need(FILE_HEADER_LEN)
            .map_err(|e| ToolFailure::io("read", path, &e))?;
        if !whole || window.visible(4) != &LOG_HEADER[..4] {
            let message = format!("Invalid magic number for {}", file_name(path));
            return Err(ToolFailure::new(2, message));
        }
        header.copy_from_slice(window.visible(FILE_HEADER_LEN));
        window.advance(FILE_HEADER_LEN);
        Ok(Self {
            window,
            path: path.to_owned(),
            header,
        })
    }

    fn print_header(&self, out: &mut dyn Write) -> io::Result<()> {
        let (version, dbid) = self.header.split_at(8);
        let version = version.last_chunk().map_or(0, |b| i32::from_be_bytes(*b));
        let dbid = dbid.last_chunk().map_or(0, |b| i64::from_be_bytes(*b));
        writeln!(
            out,
            "ZooKeeper Transactional Log File with dbid {dbid} txnlog format version {version}"
        )
    }

    /// The next record up to its payload; `None` at padding or where the file ends inside one.
    fn next(&mut self) -> Result<Option<RawRecord>, ToolFailure> {
        if !self.need(RECORD_HEAD)? {
            return Ok(None);
        }
        let Some((sum, len)) = parse_head(self.window.peek()) else {
            return Ok(None);
        };
        let Some(len) = usize::try_from(len)
            .ok()
            .filter(|n| *n <= PAYLOAD_MAX_DEFAULT)
        else {
            return Err(ToolFailure::new(1, format!("Unreasonable length = {len}")));
        };
        if len == 0 || !self.need(RECORD_HEAD + len)? {
            return Ok(None);
        }
        let payload = self
            .window
            .visible(RECORD_HEAD + len)
            .get(RECORD_HEAD..)
            .unwrap_or_default()
            .to_vec();
        Ok(Some(RawRecord { sum, payload }))
    }

    /// Goes over the record; whether its end mark is there.
    fn ends_well(&mut self, record: &RawRecord) -> Result<bool, ToolFailure> {
        let whole = RECORD_OVERHEAD + record.payload.len();
        if !self.need(whole)? {
            return Ok(false);
        }
        let good = self.window.visible(whole).last() == Some(&END_OF_RECORD);
        self.window.advance(whole);
        Ok(good)
    }

    fn need(&mut self, n: usize) -> Result<bool, ToolFailure> {
        self.window
            .need(n)
            .map_err(|e| ToolFailure::io("read", &self.path, &e))
    }
}

/// The file being written.
struct Copy {
    file: Box<dyn VfsFile>,
    path: PathBuf,
    at: u64,
    padded: bool,
}

impl Copy {
    fn create(
        vfs: &dyn Vfs,
        original: &Path,
        suffix: &str,
        padded: bool,
    ) -> Result<Self, ToolFailure> {
        let mut name = original
            .file_name()
            .unwrap_or(original.as_os_str())
            .to_owned();
        name.push(suffix);
        let path = original.with_file_name(name);
        let Ok(file) = vfs.create_new(&path) else {
            let message = format!(
                "Recovery file {} already exists or not writable",
                file_name(&path)
            );
            return Err(ToolFailure::new(1, message));
        };
        let mut copy = Self {
            file,
            path,
            at: 0,
            padded,
        };
        copy.write(&LOG_HEADER)?;
        Ok(copy)
    }

    fn put(&mut self, record: &RawRecord) -> Result<(), ToolFailure> {
        // The sum goes out as it is: a record that nobody wanted repaired stays as it was.
        let mut frame = record.sum.to_be_bytes().to_vec();
        frame.extend_from_slice(&(record.payload.len() as u32).to_be_bytes());
        frame.extend_from_slice(&record.payload);
        frame.push(END_OF_RECORD);
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ToolFailure> {
        self.file
            .write_all_at(bytes, self.at)
            .map_err(|e| ToolFailure::io("write", &self.path, &e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<(), ToolFailure> {
        let padding = LogOptions::default().preallocate;
        let done = if self.padded && self.at > FILE_HEADER_LEN as u64 {
            let steps = (self.at + 4096 - FILE_HEADER_LEN as u64).div_ceil(padding);
            self.file.set_len(FILE_HEADER_LEN as u64 + steps * padding)
        } else {
            Ok(())
        };
        done.and_then(|()| self.file.sync_all())
            .map_err(|e| ToolFailure::io("write", &self.path, &e))
    }
}

/// Answers, word by word.
struct Answers<'a> {
    input: &'a mut dyn BufRead,
    words: Vec<String>,
}

impl Answers<'_> {
    fn want_fix(&mut self, out: &mut dyn Write) -> Result<bool, ToolFailure> {
        let aborted = || ToolFailure::new(0, "Recovery aborted.");
        loop {
            write!(out, "Would you like to fix it (Yes/No/Abort) ? ")?;
            out.flush()?;
            let word = self.word()?.ok_or_else(aborted)?;
            match word.chars().next().map(|c| c.to_ascii_uppercase()) {
                Some('Y') => return Ok(true),
                Some('N') => return Ok(false),
                Some('A') => return Err(aborted()),
                _ => {}
            }
        }
    }

    fn word(&mut self) -> io::Result<Option<String>> {
        while self.words.is_empty() {
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            self.words = line.split_whitespace().rev().map(str::to_owned).collect();
        }
        Ok(self.words.pop())
    }
}
