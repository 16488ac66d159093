//! Where orders come in: a file at the start, then a socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use super::Faults;

/// Obeys what lies in the directory, and takes orders there from now on.
pub(super) fn open(dir: &Path, faults: &Arc<Faults>) -> io::Result<()> {
    match fs::read_to_string(dir.join("orders")) {
        Ok(orders) => {
            for line in orders.lines() {
                faults.obey(line, true_ms()).map_err(io::Error::other)?;
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let at = dir.join("faults.sock");
    match fs::remove_file(&at) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(&at)?;
    let faults = Arc::clone(faults);
    thread::Builder::new()
        .name("faults".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who does not wait for the answer cannot know whether it was heard.
                let _ = hear(&stream, &faults);
            }
        })?;
    Ok(())
}

/// Answers each line of a connection.
fn hear(stream: &UnixStream, faults: &Faults) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut answers = stream;
    while let Some(line) = lines.next().transpose()? {
        match faults.obey(&line, true_ms()) {
            Ok(answer) => writeln!(answers, "{answer}")?,
            Err(why) => writeln!(answers, "no: {why}")?,
        }
    }
    Ok(())
}

fn true_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}
