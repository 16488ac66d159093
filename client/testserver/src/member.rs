//! One server that runs or not, with its data and its port.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use zabra_config::{Config, Invocation, SystemProperties};
use zabra_server::{Fatal, Server, Stopper};

use crate::Error;
use crate::port::KeptPort;

/// A server, alone or of an ensemble.
#[derive(Debug)]
pub(crate) struct Member {
    home: PathBuf,
    port: KeptPort,
    /// Its zoo.cfg but for directory and port.
    lines: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stopper: Stopper,
    thread: JoinHandle<Result<(), Fatal>>,
}

impl Member {
    /// A server that does not run yet. It has a number if it is one of several.
    pub(crate) fn new(home: PathBuf, number: Option<usize>, lines: String) -> Result<Self, Error> {
        let data = home.join("data");
        fs::create_dir_all(&data)?;
        if let Some(number) = number {
            fs::write(data.join("myid"), number.to_string())?;
        }
        Ok(Self {
            home,
            port: KeptPort::new()?,
            lines,
            running: None,
        })
    }

    pub(crate) fn set_lines(&mut self, lines: String) {
        self.lines = lines;
    }

    /// Where clients connect while it runs.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            return Ok(());
        }
        let server = Server::start(self.config()?)?;
        let stopper = server.stopper();
        let name = format!("server {}", self.port.address().port());
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || server.run())?;
        self.running = Some(Running { stopper, thread });
        Ok(())
    }

    fn config(&self) -> Result<Config, Error> {
        let (data, address) = (self.home.join("data"), self.port.address());
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress={}\n{COMMON_LINES}{}\n",
            data.display(),
            address.port(),
            address.ip(),
            self.lines
        );
        let file = self.home.join("zoo.cfg");
        fs::write(&file, text)?;
        Ok(Config::load(
            &Invocation::File(file),
            &SystemProperties::default(),
        )?)
    }

    /// Stops it, if it runs. All its connections are closed.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        running.stopper.stop();
        Ok(running.thread.join().map_err(|_| Error::Panicked)??)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.stop();
    }
}

/// Nothing here outlives the test, so the disk need not be waited for. TTLs and four-letter words are on, sessions may be short.
const COMMON_LINES: &str = "preAllocSize=64\nforceSync=no\n4lw.commands.whitelist=*\nextendedTypesEnabled=true\n\
                            minSessionTimeout=100\nmaxSessionTimeout=600000\nmaxClientCnxns=0\nadmin.enableServer=false\n";
