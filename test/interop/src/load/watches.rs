//! The watches that one session keeps, and the promise about them: an event comes before the data that it tells of.
//!
//! Each armed watch remembers the zxid of what was last read. A later read that shows a newer zxid while the watch is still
//! armed means that an event was lost, over whatever changes of server and leader it went.

use std::collections::BTreeMap;

use zabra_jute::Reader;

use crate::wire::Body;

/// What is watched at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    /// The data, by getData.
    Data,
    /// The children, by getChildren2.
    Children,
}

/// The armed watches of a session.
#[derive(Debug, Default)]
pub(super) struct Watches {
    armed: BTreeMap<(Watched, String), i64>,
    /// Events that fitted an armed watch.
    pub(super) events: u64,
}

impl Watches {
    /// None is armed any more: the session is over.
    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// The body of setWatches: everything armed, as of `last_zxid`.
    pub(super) fn body(&self, last_zxid: i64) -> Body {
        let paths = |watched: Watched| -> Vec<&str> {
            let of = self.armed.keys().filter(|(kind, _)| *kind == watched);
            of.map(|(_, path)| path.as_str()).collect()
        };
        Body::new()
            .i64(last_zxid)
            .strings(&paths(Watched::Data))
            .strings::<&str>(&[])
            .strings(&paths(Watched::Children))
    }

    /// A read with a watch showed `path` as of `zxid`.
    ///
    /// # Errors
    /// It had changed, and no event had come.
    pub(super) fn on_read(
        &mut self,
        watched: Watched,
        path: &str,
        zxid: i64,
    ) -> Result<(), String> {
        let key = (watched, path.to_owned());
        match self.armed.insert(key, zxid) {
            Some(before) if before < zxid => Err(format!(
                "{watched:?} of {path} was read as of 0x{zxid:x}, watched since 0x{before:x}, without an event"
            )),
            _ => Ok(()),
        }
    }

    /// A notification came.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn on_event(&mut self, body: &[u8]) -> Result<(), String> {
        let mut r = Reader::new(body);
        let mut event = || -> Result<(i32, String), zabra_jute::JuteError> {
            let (kind, _state) = (r.i32()?, r.i32()?);
            Ok((kind, r.string()?.unwrap_or_default().into_owned()))
        };
        let (kind, path) = event().map_err(|error| format!("a notification: {error}"))?;
        let watched: &[Watched] = match kind {
            // NodeDataChanged
            3 => &[Watched::Data],
            // NodeChildrenChanged
            4 => &[Watched::Children],
            // NodeCreated, NodeDeleted
            _ => &[Watched::Data, Watched::Children],
        };
        for watched in watched {
            if self.armed.remove(&(*watched, path.clone())).is_some() {
                self.events += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: i32 = 3;

    fn event(kind: i32, path: &str) -> Vec<u8> {
        Body::new().i32(kind).i32(3).string(path).0
    }

    #[test]
    fn newer_data_without_an_event_is_found() {
        let mut watches = Watches::default();
        watches.on_read(Watched::Data, "/a", 5).unwrap();
        watches.on_read(Watched::Data, "/a", 5).unwrap();
        assert!(watches.on_read(Watched::Data, "/a", 6).is_err());
    }

    #[test]
    fn an_event_allows_newer_data() {
        let mut watches = Watches::default();
        watches.on_read(Watched::Data, "/a", 5).unwrap();
        watches.on_event(&event(CHANGED, "/a")).unwrap();
        watches.on_read(Watched::Data, "/a", 6).unwrap();
    }
}
