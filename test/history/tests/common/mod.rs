//! Tells histories, entry by entry.

use zabra_history::{Answer, Ask, Change, Entry, History, Path, Shown, Value, What, Zxid};

/// A history that is being told; each entry is a moment later than the one before.
#[derive(Default)]
pub(crate) struct Tale {
    history: History,
    at: u64,
    call: u64,
}

pub(crate) fn path(path: &str) -> Path {
    path.into()
}

pub(crate) fn create(at: &str, value: Value) -> Ask {
    let path = path(at);
    Ask::Create {
        path,
        value,
        ephemeral: false,
    }
}

pub(crate) fn ephemeral(at: &str, value: Value) -> Ask {
    let path = path(at);
    Ask::Create {
        path,
        value,
        ephemeral: true,
    }
}

pub(crate) fn set(at: &str, value: Value) -> Ask {
    let path = path(at);
    Ask::Set { path, value }
}

pub(crate) fn delete(at: &str) -> Ask {
    Ask::Delete { path: path(at) }
}

pub(crate) fn read(at: &str) -> Ask {
    let path = path(at);
    Ask::Read { path, watch: false }
}

pub(crate) fn watch(at: &str) -> Ask {
    let path = path(at);
    Ask::Read { path, watch: true }
}

/// A value with the zxids of its creation and of itself.
pub(crate) fn shown(value: Value, czxid: Zxid, mzxid: Zxid) -> Answer {
    Answer::Data(Shown {
        value,
        czxid,
        mzxid,
        owner: 0,
    })
}

/// The same of a session.
pub(crate) fn owned(value: Value, zxid: Zxid, owner: i64) -> Answer {
    Answer::Data(Shown {
        value,
        czxid: zxid,
        mzxid: zxid,
        owner,
    })
}

impl Tale {
    pub(crate) fn note(&mut self, session: i64, what: What) -> &mut Self {
        self.at += 1;
        self.history.entries.push(Entry {
            session,
            at: self.at,
            what,
        });
        self
    }

    /// A question; its number.
    pub(crate) fn ask(&mut self, session: i64, ask: Ask) -> u64 {
        self.call += 1;
        let call = self.call;
        self.note(session, What::Asked { call, ask });
        call
    }

    pub(crate) fn tell(
        &mut self,
        session: i64,
        call: u64,
        zxid: Zxid,
        answer: Answer,
    ) -> &mut Self {
        self.note(session, What::Told { call, zxid, answer })
    }

    /// A question with its answer.
    pub(crate) fn call(&mut self, session: i64, ask: Ask, zxid: Zxid, answer: Answer) -> &mut Self {
        let call = self.ask(session, ask);
        self.tell(session, call, zxid, answer)
    }

    /// A write that is done.
    pub(crate) fn done(&mut self, session: i64, ask: Ask, zxid: Zxid) -> &mut Self {
        self.call(session, ask, zxid, Answer::Done)
    }

    /// A question without an answer.
    pub(crate) fn lost(&mut self, session: i64, ask: Ask) -> &mut Self {
        self.ask(session, ask);
        self.note(session, What::Disconnected)
    }

    pub(crate) fn event(
        &mut self,
        session: i64,
        at: &str,
        change: Change,
        zxid: Option<Zxid>,
    ) -> &mut Self {
        let path = path(at);
        self.note(session, What::Event { path, change, zxid })
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }
}
