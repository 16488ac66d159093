//! The timer that the standby sleeps on.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer of the kernel's. Setting it costs far less than waking a thread.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        Ok(Self { fd })
    }

    /// Ends the sleep after this long, whatever it was set to before.
    pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
        // Zero would mean never.
        let nanos = after.subsec_nanos().max(u32::from(after.as_secs() == 0));
        self.arm(Timespec {
            tv_sec: after.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: nanos.into(),
        })
    }

    /// Lets who sleeps sleep on.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.arm(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        })
    }

    /// Sleeps until the time is over.
    pub(crate) fn sleep(&self) -> io::Result<()> {
        match rustix::io::read(&self.fd, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn arm(&self, it_value: Timespec) -> io::Result<()> {
        let it_interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        timerfd_settime(
            &self.fd,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval,
                it_value,
            },
        )?;
        Ok(())
    }
}
