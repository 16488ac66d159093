//! What `zkCleanup.sh` prints.

use std::io::{self, Write};

use super::date::Date;
use crate::purge::Purged;

/// A line for each removed file.
pub fn write_purged(purged: &Purged, out: &mut dyn Write) -> io::Result<()> {
    for (path, entry) in &purged.removed {
        let when = Date::from_millis(entry.modified_ms).medium();
        writeln!(out, "Removing file: {when}\t{}", path.display())?;
    }
    Ok(())
}
