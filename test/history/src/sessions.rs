//! What one session may expect of its own answers (I-25, I-26).

use std::collections::{HashMap, VecDeque};

use crate::{History, Rule, SessionId, Verdict, What, Zxid};

/// Answers come in the order of questions, and a session never sees an older state than before, over all its connections.
pub fn judge(history: &History, verdict: &mut Verdict) {
    let mut sessions: HashMap<SessionId, (VecDeque<u64>, Zxid)> = HashMap::new();
    for entry in &history.entries {
        let session = entry.session;
        let (open, seen) = sessions
            .entry(session)
            .or_insert((VecDeque::new(), Zxid::MIN));
        match &entry.what {
            What::Asked { call, .. } => open.push_back(*call),
            What::Disconnected => open.clear(),
            What::Told { call, zxid, answer } => {
                verdict.count("answers in order", 1);
                if open.pop_front() != Some(*call) {
                    let text =
                        format!("0x{session:x}: {answer:?} to call {call} is not the next answer");
                    verdict.broken(Rule::AnswerOrder, text);
                }
                if zxid < seen {
                    let text = format!("0x{session:x}: 0x{zxid:x} after 0x{seen:x}");
                    verdict.broken(Rule::WentBack, text);
                }
                *seen = (*seen).max(*zxid);
            }
            _ => {}
        }
    }
}
