//! Ephemeral znodes: there as long as their session, and gone with it, all at once (I-28).

use std::collections::BTreeMap;

use crate::calls::{Call, Clock};
use crate::znodes::Timelines;
use crate::{History, Rule, SessionId, Verdict, What, Zxid};

/// What is known of when a session ended.
#[derive(Debug, Clone)]
struct End {
    /// It lived as of here, and what shows that.
    lived: (Zxid, String),
    /// It was over as of here, and what shows that.
    over: (Zxid, String),
}

/// A session ends in one transaction: whatever shows it alive is before whatever shows it over.
pub fn judge(history: &History, calls: &[Call], timelines: &Timelines, verdict: &mut Verdict) {
    let clock = Clock::of(calls);
    let mut ends: BTreeMap<SessionId, End> = BTreeMap::new();
    let mut lived = |session, zxid, by: &dyn Fn() -> String| {
        let end = ends.entry(session).or_default();
        if zxid > end.lived.0 {
            end.lived = (zxid, by());
        }
    };
    for entry in &history.entries {
        if let What::Told { zxid, .. } = entry.what {
            lived(entry.session, zxid, &|| "an answer to it".to_owned());
        }
    }
    for (owner, zxid, path) in &timelines.shown {
        lived(*owner, *zxid, &|| format!("its {path}"));
    }
    let mut over = |session, zxid, by: &dyn Fn() -> String| {
        let end = ends.entry(session).or_default();
        if zxid < end.over.0 {
            end.over = (zxid, by());
        }
    };
    for entry in &history.entries {
        match entry.what {
            What::Closed(zxid) => over(entry.session, zxid, &|| "it was closed".to_owned()),
            What::Expired => {
                let zxid = clock.ceiling(entry.at);
                over(entry.session, zxid, &|| "it was told so before".to_owned());
            }
            _ => {}
        }
    }
    for (owner, zxid, path) in &timelines.vanished {
        over(*owner, *zxid, &|| format!("without its {path}"));
    }
    for (session, end) in ends {
        if end.over.0 == Zxid::MAX {
            continue;
        }
        verdict.count("ends of sessions", 1);
        if end.lived.0 >= end.over.0 {
            let text = format!(
                "0x{session:x}: alive as of 0x{:x} ({}), over as of 0x{:x} ({})",
                end.lived.0, end.lived.1, end.over.0, end.over.1
            );
            verdict.broken(Rule::SessionEnd, text);
        }
    }
}

impl Default for End {
    fn default() -> Self {
        Self {
            lived: (Zxid::MIN, String::new()),
            over: (Zxid::MAX, String::new()),
        }
    }
}
