//! Four-letter words: what a server says of itself.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// The answer to a four-letter word: everything until the server closes.
pub(crate) fn word(address: SocketAddr, word: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(word.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The mode of a server, `leader` for one; `None` while it does not serve.
pub(crate) fn mode(address: SocketAddr) -> Option<String> {
    let answer = word(address, "srvr").ok()?;
    let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
    mode.map(str::to_owned)
}

/// Looks until there is something.
pub(crate) fn until<T>(
    what: &'static str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Late(what));
        }
        thread::park_timeout(PAUSE);
    }
}

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);
