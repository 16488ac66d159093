//! A place in a queue: an own ephemeral sequential znode that is found again when the answer to its create was lost, and
//! that is deleted for sure.

use zabra_proto::Stat;

use crate::decide::lock::Decision;
use crate::decide::mirror::join;
use crate::error::Error;
use crate::patient::{Ghost, Patient};

/// What the name of a claim's znode is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// `_c_<uuid>-<mark><number>`, as Curator has them.
    #[default]
    Curator,
    /// `<uuid>__lock__<number>`, as kazoo has them. Contenders of kazoo see these only, unless they are told of others.
    Kazoo,
}

/// An own znode in a queue. Dropped, it is deleted in the background.
#[derive(Debug)]
pub(crate) struct Claim {
    patient: Patient,
    parent: String,
    name: String,
    path: String,
    czxid: i64,
    /// Deletes what may be left when this is dropped.
    ghost: Ghost,
}

impl Claim {
    /// Stands in the queue under `parent`, which is made if need be.
    ///
    /// Cancel safe: what a dropped call has created is deleted in the background.
    pub(crate) async fn stand(
        patient: &Patient,
        parent: &str,
        names: Names,
        mark: &str,
        data: &[u8],
    ) -> Result<Self, Error> {
        let (prefix, mark) = match names {
            Names::Curator => (format!("_c_{}-", Patient::uuid()), mark),
            Names::Kazoo => (Patient::uuid().replace('-', ""), KAZOO),
        };
        let ghost = Ghost::new(patient, parent, &prefix);
        let (name, stat) = patient.create_own(parent, &prefix, mark, data).await?;
        Ok(Self::of(patient, parent, name, &stat, ghost))
    }

    /// A claim whose znode bears a number that is given, beside the one of the same holder.
    pub(crate) async fn beside(
        patient: &Patient,
        parent: &str,
        mark_and_number: &str,
    ) -> Result<Self, Error> {
        let prefix = format!("_c_{}-", Patient::uuid());
        let ghost = Ghost::new(patient, parent, &prefix);
        let name = format!("{prefix}{mark_and_number}");
        let stat = patient.create_ephemeral(&join(parent, &name), &[]).await?;
        Ok(Self::of(patient, parent, name, &stat, ghost))
    }

    fn of(patient: &Patient, parent: &str, name: String, stat: &Stat, ghost: Ghost) -> Self {
        Self {
            patient: patient.clone(),
            parent: parent.to_owned(),
            path: join(parent, &name),
            name,
            czxid: stat.czxid,
            ghost,
        }
    }

    /// Waits for its turn; `false` when the znode has vanished and must be made anew.
    pub(crate) async fn turn<D>(&self, decide: D) -> Result<bool, Error>
    where
        D: for<'a> Fn(&'a [String], &str) -> Decision<'a>,
    {
        loop {
            let children = self.patient.children(&self.parent).await?;
            let children = children.map(|(names, _)| names).unwrap_or_default();
            match decide(&children, &self.name) {
                Decision::Holds => return Ok(true),
                Decision::Vanished => return Ok(false),
                Decision::Exhausted => {
                    return Err(Error::Exhausted {
                        path: self.parent.clone(),
                    });
                }
                Decision::Waits { on } => {
                    // Reading data leaves no watch behind when the znode is gone already.
                    let on = self.patient.data_watched(&join(&self.parent, on)).await?;
                    if let Some((_, _, watch)) = on {
                        watch.fired().await;
                    }
                }
            }
        }
    }

    /// Whether it is its turn at this moment.
    pub(crate) async fn is_its_turn<D>(&self, decide: D) -> Result<bool, Error>
    where
        D: for<'a> Fn(&'a [String], &str) -> Decision<'a>,
    {
        let children = self.patient.children(&self.parent).await?;
        let children = children.map(|(names, _)| names).unwrap_or_default();
        match decide(&children, &self.name) {
            Decision::Holds => Ok(true),
            Decision::Exhausted => Err(Error::Exhausted {
                path: self.parent.clone(),
            }),
            Decision::Waits { .. } | Decision::Vanished => Ok(false),
        }
    }

    /// Deletes the znode; returns when it is gone. The end of the session takes it along.
    pub(crate) async fn withdraw(mut self) -> Result<(), Error> {
        match self.patient.delete(&self.path).await {
            Ok(()) => {}
            Err(error) if error.is_end_of_session() => {}
            Err(error) => return Err(error),
        }
        self.ghost.disarm();
        Ok(())
    }

    pub(crate) const fn patient(&self) -> &Patient {
        &self.patient
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) const fn czxid(&self) -> i64 {
        self.czxid
    }
}

/// What stands before the number in kazoo's names.
pub(crate) const KAZOO: &str = "__lock__";
