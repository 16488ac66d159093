//! Which core processes run on.

use std::{fs, io};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// Puts this process and all threads of another one on the first core that this one may use.
///
/// # Errors
/// There is no such process, or it belongs to somebody else.
pub fn share(pid: u32) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core));
    let mut core = CpuSet::new();
    core.set(first.unwrap_or(0));
    sched_setaffinity(None, &core)?;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = task?.file_name();
        let id = name.to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            sched_setaffinity(Some(id), &core)?;
        }
    }
    Ok(())
}
