//! What is allowed.

use std::collections::BTreeMap;

use zabra_proto::Zxid;

use super::history::History;
use super::state::{Model, Role, Server, Term};
use super::{Step, Txn};

/// Why a step is none of the protocol's.
type Refusal = &'static str;

fn require(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

impl Model {
    /// Takes a step.
    ///
    /// # Errors
    /// Why it is none of the protocol's. Nothing can be said of the model after that.
    pub fn step(&mut self, step: &Step<'_>) -> Result<(), Refusal> {
        match *step {
            Step::Look(at) => self.servers[at].role = Role::Looking,
            Step::Elect(at) => self.servers[at].role = Role::Elected,
            Step::Promise(at, epoch) => return self.promise(at, epoch),
            Step::Follow { at, leader, counts } => return self.follow(at, leader, counts),
            Step::Accept(at, epoch) => return self.accept(at, epoch),
            Step::Keep(at, epochs) => self.servers[at].kept = epochs,
            Step::Cut(at, zxid) => return self.cut(at, zxid),
            Step::WasCut(at) => self.servers[at].logged = self.servers[at].durable,
            // A learner is told to cut before it is sent anything, and had flushed all before it voted.
            Step::NotCut(at) => self.servers[at].durable = self.servers[at].logged,
            Step::Replace(at, zxid, behind) => return self.replace(at, zxid, behind),
            Step::WasReplaced(at, zxid, behind) => return self.was_replaced(at, zxid, behind),
            Step::Establish(at, epoch) => return self.establish(at, epoch),
            Step::Propose(at, txn) => return self.propose(at, txn),
            Step::Log(at, txn) => return self.log(at, txn),
            Step::Sync(at, zxid) => return self.sync(at, zxid),
            Step::Deliver(at, txn) => return self.deliver(at, txn),
            Step::Crash(at) => self.servers[at].role = Role::Looking,
            Step::Recover {
                at,
                delivered,
                tail,
                epochs,
            } => return self.recover(at, delivered, tail, epochs),
            Step::Lose(at) => {
                let server = &self.servers[at];
                let lost = server.lost.unwrap_or((server.kept.1, server.durable));
                self.servers[at] = Server::new();
                self.servers[at].lost = Some(lost);
                self.words.retain(|(who, _), _| *who != at);
            }
        }
        Ok(())
    }

    fn promise(&mut self, at: usize, epoch: u32) -> Result<(), Refusal> {
        let server = &mut self.servers[at];
        require(epoch > server.promised, "its word was for a later epoch")?;
        server.promised = epoch;
        if server.role == Role::Elected {
            server.role = Role::Leading(epoch);
            let own = (server.accepted, server.logged);
            let term = Term {
                words: BTreeMap::from([(at, own)]),
                initial: server.logged,
                history: server.logged,
                is_established: false,
            };
            self.terms.insert((epoch, at), term);
            self.words.insert((at, epoch), at);
            return Ok(());
        }
        let is_proposed = self.terms.keys().any(|(proposed, _)| *proposed == epoch);
        require(is_proposed, "nobody leads in this epoch")
    }

    fn follow(&mut self, at: usize, leader: usize, counts: bool) -> Result<(), Refusal> {
        let server = &mut self.servers[at];
        let epoch = server.promised;
        let own = (server.accepted, server.durable);
        server.role = Role::Following(leader, epoch);
        let term = self.terms.get_mut(&(epoch, leader));
        let term = term.ok_or("that leader has not proposed this epoch")?;
        if !counts {
            return Ok(());
        }
        let first = *self.words.entry((at, epoch)).or_insert(leader);
        term.words.insert(at, own);
        require(first == leader, "its word for this epoch was for another")
    }

    fn accept(&mut self, at: usize, epoch: u32) -> Result<(), Refusal> {
        let (role, durable) = (self.servers[at].role, self.servers[at].durable);
        let promised = self.servers[at].promised;
        require(epoch == promised, "its word was not for this epoch")?;
        match role {
            Role::Leading(leads) if leads == epoch => {
                let term = self.terms.get(&(epoch, at)).ok_or("it proposed no epoch")?;
                // A txn of an epoch stands behind all that the epoch began with: its history is of that epoch, whether
                // its server has said so or not (P03).
                let rank = |epoch: u32, history| {
                    let last = self.histories.last(history);
                    (epoch.max(last.epoch()), last)
                };
                let own = rank(self.servers[at].accepted, self.servers[at].logged);
                let is_given = self.is_quorum(|voter, _| {
                    let word = term.words.get(&voter);
                    word.is_some_and(|(epoch, history)| rank(*epoch, *history) <= own)
                });
                let refusal = "it leads without the word of a quorum that has no better history";
                require(is_given, refusal)?;
            }
            Role::Following(leader, follows) if follows == epoch => {
                let term = self.terms.get(&(epoch, leader));
                let term = term.ok_or("it follows no epoch")?;
                let has_it = self.histories.begins(term.initial, durable);
                require(has_it, "it lacks of its epoch's history on its disk")?;
                let is_of_it = self.histories.begins(durable, term.history);
                require(is_of_it, "its history is not that of its epoch")?;
                self.servers[at].lost = None;
            }
            _ => return Err("it neither leads nor follows in this epoch"),
        }
        self.servers[at].accepted = epoch;
        Ok(())
    }

    /// What the server's leader has, which it may be itself.
    fn leaders(&self, at: usize) -> Result<History, Refusal> {
        let (leader, epoch) = match self.servers[at].role {
            Role::Following(leader, epoch) => (leader, epoch),
            Role::Leading(epoch) => (at, epoch),
            Role::Looking | Role::Elected => return Err("it follows nobody"),
        };
        let term = self.terms.get(&(epoch, leader));
        term.map(|term| term.history).ok_or("it follows no epoch")
    }

    fn cut(&mut self, at: usize, zxid: Zxid) -> Result<(), Refusal> {
        let leaders = self.leaders(at)?;
        let server = &self.servers[at];
        let kept = self.histories.up_to(server.logged, zxid);
        let kept = kept.ok_or("it cuts at what it does not have")?;
        let is_common = self.histories.begins(kept, leaders);
        require(is_common, "it keeps what its leader does not have")?;
        let keeps = self.histories.begins(server.delivered, kept);
        require(keeps, "it cuts what it has delivered")?;
        self.servers[at].durable = self.histories.common(server.durable, kept);
        Ok(())
    }

    fn replace(&mut self, at: usize, zxid: Zxid, behind: &[Txn]) -> Result<(), Refusal> {
        let leaders = self.leaders(at)?;
        let delivered = self.histories.up_to(self.delivered, zxid);
        let delivered = delivered.ok_or("a snapshot has what nobody has delivered")?;
        let coming = self.histories.with_all(delivered, behind);
        let is_of_it = self.histories.begins(coming, leaders);
        require(is_of_it, "it takes what its leader does not have")?;
        let server = &mut self.servers[at];
        server.coming = Some(coming);
        server.durable = self.histories.common(server.durable, coming);
        Ok(())
    }

    fn was_replaced(&mut self, at: usize, zxid: Zxid, behind: &[Txn]) -> Result<(), Refusal> {
        let delivered = self.histories.up_to(self.delivered, zxid);
        let delivered = delivered.ok_or("a snapshot has what nobody has delivered")?;
        let new = self.histories.with_all(delivered, behind);
        let server = &mut self.servers[at];
        let was_coming = server.coming.take();
        (server.durable, server.logged, server.delivered) = (new, delivered, delivered);
        require(was_coming == Some(new), "its new history is another")
    }

    fn establish(&mut self, at: usize, epoch: u32) -> Result<(), Refusal> {
        // What was acknowledged from a disk that is lost since may still be on its way.
        let is_quorum = self.is_quorum(|_, server| {
            server.kept.1 >= epoch || server.lost.is_some_and(|(kept, _)| kept >= epoch)
        });
        let term = self.terms.get_mut(&(epoch, at));
        let term = term.ok_or("it proposed no epoch")?;
        if !term.is_established {
            term.is_established = true;
            require(is_quorum, "no quorum has accepted its epoch")?;
        }
        let mut others = self.terms.iter();
        let is_only = others.all(|((other, leader), term)| {
            *other != epoch || *leader == at || !term.is_established
        });
        require(is_only, "another leads in this epoch")
    }

    fn propose(&mut self, at: usize, txn: Txn) -> Result<(), Refusal> {
        let server = &self.servers[at];
        let Role::Leading(epoch) = server.role else {
            return Err("it does not lead");
        };
        let term = self.terms.get_mut(&(epoch, at));
        let term = term.ok_or("it proposed no epoch")?;
        if self.histories.has(term.history, txn) {
            return Ok(());
        }
        require(term.is_established, "its epoch is not established")?;
        let has_delivered = self.histories.begins(term.initial, server.delivered);
        require(has_delivered, "it has not delivered what was before")?;
        let last = self.histories.last(term.history);
        let counter = if last.epoch() == epoch {
            last.counter()
        } else {
            0
        };
        let next = Zxid::new(epoch, counter.wrapping_add(1));
        require(txn.0 == next, "it is not the next of its epoch")?;
        term.history = self.histories.with(term.history, txn);
        Ok(())
    }

    fn log(&mut self, at: usize, txn: Txn) -> Result<(), Refusal> {
        let leaders = self.leaders(at)?;
        let logged = self.histories.with(self.servers[at].logged, txn);
        self.servers[at].logged = logged;
        let is_of_it = self.histories.begins(logged, leaders);
        require(is_of_it, "its leader has another, or none, there")
    }

    fn sync(&mut self, at: usize, zxid: Zxid) -> Result<(), Refusal> {
        let server = &self.servers[at];
        let durable = self.histories.up_to(server.logged, zxid);
        let durable = durable.ok_or("it has not logged that")?;
        if !self.histories.begins(durable, server.durable) {
            self.servers[at].durable = durable;
        }
        Ok(())
    }

    fn deliver(&mut self, at: usize, txn: Txn) -> Result<(), Refusal> {
        let server = &self.servers[at];
        let next = self.histories.with(server.delivered, txn);
        let has_it = self.histories.begins(next, server.durable);
        require(has_it, "it does not have that on its disk")?;
        if !self.histories.begins(next, self.delivered) {
            let is_next = self.histories.begins(self.delivered, next);
            require(is_next, "another was delivered there")?;
            require(self.is_decided(next), "no quorum has it in an epoch of it")?;
            self.delivered = next;
        }
        self.servers[at].delivered = next;
        Ok(())
    }

    /// Whether a history is that of an established epoch, up to here, and on the disks of a quorum that has accepted it.
    fn is_decided(&self, history: History) -> bool {
        let mut terms = self.terms.iter().rev();
        terms.any(|((epoch, _), term)| {
            term.is_established
                && self.histories.begins(history, term.history)
                && self.is_quorum(|_, server| {
                    let is_there = self.histories.begins(history, server.durable);
                    let was_there = |(_, lost)| self.histories.begins(history, lost);
                    is_there && server.accepted >= *epoch || server.lost.is_some_and(was_there)
                })
        })
    }

    fn recover(
        &mut self,
        at: usize,
        delivered: Zxid,
        tail: &[Txn],
        (promised, accepted): (u32, u32),
    ) -> Result<(), Refusal> {
        let delivered = self.histories.up_to(self.delivered, delivered);
        let delivered = delivered.ok_or("a snapshot has what nobody has delivered")?;
        let found = self.histories.with_all(delivered, tail);
        let server = self.servers[at].clone();
        let is_kept = self.histories.begins(server.durable, found);
        let ends = [Some(server.logged), Some(server.durable), server.coming];
        let mut ends = ends.into_iter().flatten();
        let was_there = ends.any(|end| self.histories.begins(found, end));
        // A word that was not kept was given to nobody.
        self.words
            .retain(|(who, epoch), _| *who != at || *epoch <= promised);
        let server = &mut self.servers[at];
        (server.durable, server.logged, server.delivered) = (found, found, delivered);
        server.coming = None;
        server.role = Role::Looking;
        require(is_kept, "it has lost what was durable")?;
        require(was_there, "it has what it never had")?;
        // What it was about to save when it died may be saved.
        let is_kept = promised >= server.kept.0 && accepted >= server.kept.1;
        // Whoever has a transaction of an epoch has all that the epoch began with.
        let epoch = self.histories.last(found).epoch();
        let was_meant =
            promised <= server.promised.max(epoch) && accepted <= server.accepted.max(epoch);
        (server.promised, server.accepted) = (promised, accepted);
        server.kept = (promised, accepted);
        require(is_kept, "its epochs have gone back")?;
        require(was_meant, "its epochs are what it never gave its word for")
    }
}
