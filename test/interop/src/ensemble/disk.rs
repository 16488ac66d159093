//! The disk and the clock of a member, which take orders if it is the build for that (`zabra_storage::faults`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::place;
use crate::step::Missing;

/// Names the directory in which it is told.
pub(super) const VARIABLE: &str = "ZABRA_FAULTS";

/// The build for it is there.
///
/// # Errors
/// [`Missing`] if it is not.
pub fn provide() -> Result<()> {
    let binary = place::faulty_binary();
    if binary.is_file() {
        return Ok(());
    }
    Err(Missing(format!(
        "{} is not built (cargo build --profile sim -p zabra --features faults)",
        binary.display()
    ))
    .into())
}

/// The server that users get takes no such orders, whoever sets the variable; the other one does.
///
/// # Errors
/// It may.
pub fn released_takes_none() -> Result<()> {
    for (binary, takes) in [
        (place::zabra_binary(), false),
        (place::faulty_binary(), true),
    ] {
        let bytes = fs::read(&binary).with_context(|| binary.display().to_string())?;
        let knows = bytes
            .windows(VARIABLE.len())
            .any(|part| part == VARIABLE.as_bytes());
        ensure!(
            knows == takes,
            "{} {} {VARIABLE}",
            binary.display(),
            if knows { "knows" } else { "does not know" }
        );
    }
    Ok(())
}

/// What is obeyed when the member starts.
pub(super) fn lay_orders(dir: &Path, orders: &[&str]) -> Result<()> {
    // What a process listened to that is gone.
    let _ = fs::remove_file(dir.join("faults.sock"));
    Ok(fs::write(dir.join("orders"), orders.join("\n"))?)
}

/// Tells one thing; what is answered.
pub(super) fn tell(dir: &Path, order: &str) -> Result<String> {
    let stream = UnixStream::connect(dir.join("faults.sock"))?;
    writeln!(&stream, "{order}")?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    let answer = answer.trim_end();
    ensure!(!answer.starts_with("no: "), "{answer}");
    ensure!(!answer.is_empty(), "no answer");
    Ok(answer.to_owned())
}
