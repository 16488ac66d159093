//! Zabra and Apache in one ensemble, in every role, under a load that checks.
//!
//! Each scenario seats both, lets members of each kind join by DIFF, by TRUNC and by SNAP, kills members of each kind, and
//! verifies after each step. What a learner's synchronization was is read from Apache's log, on whichever side of
//! the link Apache stands.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ensemble::{Ensemble, Form, Member, Plan, Role, Seat, Sid};
use crate::load::Load;
use crate::peer::{Line, Peer};
use crate::scene::{Faults, Scene, Tail};
use crate::wire::{Body, Hello, Wire, op};

/// Runs every scenario with Apache 3.9, and in a long run with every line.
///
/// # Errors
/// Something was not as promised, or a peer is missing.
pub fn run(tested: Peer, long: bool) -> Result<String> {
    let lines: &[Line] = if long { &Line::ALL } else { &[Line::V3_9] };
    let scenarios: [(&str, Scenario); 6] = [
        ("follows Apache", follower),
        ("leads Apache", leader),
        ("leads an Apache server that joins", joined_by_apache),
        ("observes Apache", observer),
        ("is observed by Apache", observed),
        ("obeys reconfigurations of Apache", reconfigured),
    ];
    let only = std::env::var("INTEROP_SCENARIO").ok();
    let (mut faults, mut played) = (Faults::default(), 0);
    for line in lines {
        for (what, scenario) in scenarios {
            if only
                .as_ref()
                .is_some_and(|only| !what.contains(only.as_str()))
            {
                continue;
            }
            let name = format!("mixed: {tested} {what} {line}");
            let outcome = Scene::play(&name, |dir| scenario(dir, tested, Peer::Apache(*line)));
            faults.note(outcome)?;
            played += 1;
        }
    }
    faults.conclude()?;
    Ok(format!(
        "{played} scenarios, with {} lines of Apache",
        lines.len()
    ))
}

type Scenario = fn(&Path, Peer, Peer) -> Result<String>;

/// The one under test follows an Apache leader: joins by DIFF and SNAP, is killed, sees its leader killed.
fn follower(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    let seats = [apache, tested, apache].map(Seat::voter).to_vec();
    let mut ensemble = Ensemble::start(dir, &Plan::brisk(seats))?;
    ensemble.make_leader(3)?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    load.verify(&mut ensemble).context("at the start")?;
    rejoin(&mut ensemble, &load, 2, Joining::Diff)?;
    rejoin(&mut ensemble, &load, 2, Joining::Snap)?;
    rejoin(&mut ensemble, &load, 1, Joining::Diff)?;
    let leader = fell_leader(&mut ensemble, &load)?;
    ensure!(leader == 3, "{leader} led instead of Apache");
    Ok(load.account().to_string())
}

/// The one under test leads two Apache followers: they join by DIFF and SNAP, it is paused and killed, and joins them
/// again by TRUNC.
fn leader(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    let seats = [apache, apache, tested].map(Seat::voter).to_vec();
    let mut ensemble = Ensemble::start(dir, &Plan::brisk(seats))?;
    ensemble.make_leader(3)?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    load.verify(&mut ensemble).context("at the start")?;
    rejoin(&mut ensemble, &load, 1, Joining::Diff)?;
    rejoin(&mut ensemble, &load, 2, Joining::Snap)?;
    lead(&mut ensemble, &load, 3)?;
    pause_leader(&mut ensemble, &load)?;
    lead(&mut ensemble, &load, 3)?;
    truncate(&mut ensemble, &load, 3)?;
    lead(&mut ensemble, &load, 3)?;
    fork(&mut ensemble, &load, 3)?;
    lead(&mut ensemble, &load, 3)?;
    fell_leader(&mut ensemble, &load)?;
    Ok(load.account().to_string())
}

/// Apache, having led, joins the one under test by TRUNC, then by SNAP and DIFF.
fn joined_by_apache(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    let seats = [tested, tested, apache].map(Seat::voter).to_vec();
    let mut ensemble = Ensemble::start(dir, &Plan::brisk(seats))?;
    ensemble.make_leader(3)?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    truncate(&mut ensemble, &load, 3)?;
    lead(&mut ensemble, &load, 3)?;
    fork(&mut ensemble, &load, 3)?;
    rejoin(&mut ensemble, &load, 3, Joining::Snap)?;
    rejoin(&mut ensemble, &load, 3, Joining::Diff)?;
    fell_leader(&mut ensemble, &load)?;
    Ok(load.account().to_string())
}

/// The one under test observes an Apache ensemble.
fn observer(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    observing(dir, apache, tested)
}

/// Apache observes an ensemble of the one under test.
fn observed(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    observing(dir, tested, apache)
}

fn observing(dir: &Path, voters: Peer, observer: Peer) -> Result<String> {
    let seats = vec![
        Seat::voter(voters),
        Seat::voter(voters),
        Seat::observer(observer),
    ];
    let mut ensemble = Ensemble::start(dir, &Plan::brisk(seats))?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    ensure!(
        ensemble.member(3).role() == Some(Role::Observer),
        "{observer} does not say that it observes"
    );
    load.verify(&mut ensemble).context("at the start")?;
    rejoin(&mut ensemble, &load, 3, Joining::Diff)?;
    rejoin(&mut ensemble, &load, 3, Joining::Snap)?;
    // Without one of two voters nothing is written until it is back.
    let leader = ensemble.leader()?;
    ensemble.member(leader).kill()?;
    ensemble.member(leader).start()?;
    ensemble.await_service()?;
    load.await_progress()
        .context("after the leader was killed")?;
    load.verify(&mut ensemble)?;
    Ok(load.account().to_string())
}

/// An Apache leader makes the one under test an observer and a follower again, and removes and adds another member.
fn reconfigured(dir: &Path, tested: Peer, apache: Peer) -> Result<String> {
    let seats = [apache, tested, apache].map(Seat::voter).to_vec();
    let mut plan = Plan::brisk(seats).form(Form::Dynamic);
    plan.properties.push("zookeeper.skipACL=yes".into());
    let mut ensemble = Ensemble::start(dir, &plan)?;
    ensemble.make_leader(3)?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    for (observes, role) in [(true, Role::Observer), (false, Role::Follower)] {
        let what = || format!("2 is made {role:?}");
        let line = ensemble.member(2).line(Form::Dynamic, observes);
        reconfigure(ensemble.member(3), &line, "").with_context(what)?;
        ensemble.await_role(2, role).with_context(what)?;
        load.await_progress().with_context(what)?;
        load.verify(&mut ensemble).with_context(what)?;
    }
    ensemble.member(1).kill()?;
    load.await_progress()?;
    reconfigure(ensemble.member(3), "", "1").context("1 is removed")?;
    // A majority of two now: nothing is written without it, and it must remember who counts.
    ensemble.member(2).kill()?;
    ensemble.member(2).start()?;
    ensemble.await_service().context("without 1")?;
    load.await_progress().context("without 1")?;
    load.verify(&mut ensemble).context("without 1")?;
    ensemble.member(1).start()?;
    let line = ensemble.member(1).line(Form::Dynamic, false);
    reconfigure(ensemble.member(3), &line, "").context("1 is added")?;
    ensemble
        .await_role(1, Role::Follower)
        .context("1 is added")?;
    load.await_progress().context("1 is added")?;
    load.verify(&mut ensemble).context("1 is added")?;
    Ok(load.account().to_string())
}

/// Has a leader change who the members are.
fn reconfigure(leader: &Member, joining: &str, leaving: &str) -> Result<()> {
    let met = Wire::connect(leader.addr(), &Hello::new(30_000))?;
    let (mut wire, _) = met.context("closed at the handshake")?;
    let optional = |body: Body, text: &str| match text {
        "" => body.buffer(None),
        some => body.string(some),
    };
    let body = optional(optional(Body::new(), joining), leaving);
    let answer = wire.call(1, op::RECONFIG, &body.buffer(None).i64(-1))?;
    ensure!(answer.err == 0, "reconfig: error {}", answer.err);
    wire.call(2, op::CLOSE_SESSION, &Body::new())?;
    Ok(())
}

/// How a learner comes to what its leader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    Diff,
    Trunc,
    Snap,
}

impl Joining {
    /// What Apache logs as a learner.
    const fn as_learner(self) -> &'static str {
        match self {
            Self::Diff => "Getting a diff from the leader",
            Self::Trunc => "Truncating log to get in sync with the leader",
            Self::Snap => "Getting a snapshot from leader",
        }
    }

    /// What Apache logs as a leader.
    const fn as_leader(self) -> &'static str {
        match self {
            Self::Diff => "Sending DIFF",
            Self::Trunc => "Sending TRUNC",
            Self::Snap => "Sending snapshot last zxid of peer",
        }
    }
}

/// How often each Apache member has told of such a synchronization.
fn told(ensemble: &Ensemble, learner: Sid, joining: Joining) -> usize {
    let count = |member: &Member| match member.peer() {
        Peer::Apache(_) if member.sid() == learner => {
            member.log().matches(joining.as_learner()).count()
        }
        Peer::Apache(_) => member.log().matches(joining.as_leader()).count(),
        Peer::Zabra => 0,
    };
    ensemble.members().iter().map(count).sum()
}

/// Kills a member that does not lead, lets the others write on, and has it join again.
fn rejoin(ensemble: &mut Ensemble, load: &Load, sid: Sid, joining: Joining) -> Result<()> {
    let what = || format!("{sid} joins by {joining:?}");
    if ensemble.leader()? == sid {
        let other = *ensemble
            .awake_voters(sid)
            .last()
            .context("no other voter")?;
        lead(ensemble, load, other)?;
    }
    let leader = ensemble.leader()?;
    ensemble.member(sid).kill()?;
    if joining == Joining::Snap {
        ensemble.member(sid).wipe()?;
    }
    // Apache 3.5 keeps 500 txns for whoever lags behind, and no setting changes it.
    let few = ensemble
        .members()
        .iter()
        .any(|member| member.peer() == Peer::Apache(Line::V3_5));
    if few {
        load.settle().with_context(what)?;
    } else {
        load.await_progress().with_context(what)?;
    }
    let before = told(ensemble, sid, joining);
    ensemble.member(sid).start()?;
    ensemble.await_service().with_context(what)?;
    load.resume();
    load.await_progress().with_context(what)?;
    let apache_takes_part = [sid, leader]
        .map(|sid| ensemble.member(sid).peer())
        .iter()
        .any(|peer| *peer != Peer::Zabra);
    ensure!(
        !apache_takes_part || told(ensemble, sid, joining) > before,
        "{}: it joined in another way; {}",
        what(),
        ensemble.show()
    );
    load.verify(ensemble).with_context(what)
}

/// Brings `sid` to lead while the load rests.
fn lead(ensemble: &mut Ensemble, load: &Load, sid: Sid) -> Result<()> {
    load.settle()?;
    let led = ensemble.make_leader(sid);
    load.resume();
    led?;
    ensemble.await_service()?;
    load.await_progress()
}

/// Kills the leader; the others go on, and it comes back. Who led.
fn fell_leader(ensemble: &mut Ensemble, load: &Load) -> Result<Sid> {
    let leader = ensemble.leader()?;
    let what = || format!("the leader {leader} was killed");
    ensemble.member(leader).kill()?;
    ensemble.await_service().with_context(what)?;
    load.await_progress().with_context(what)?;
    ensemble.member(leader).start()?;
    ensemble.await_service().with_context(what)?;
    load.await_progress().with_context(what)?;
    load.verify(ensemble).with_context(what)?;
    Ok(leader)
}

/// Pauses the leader until the others have another one; it comes back and follows.
fn pause_leader(ensemble: &mut Ensemble, load: &Load) -> Result<()> {
    let leader = ensemble.leader()?;
    let what = || format!("the leader {leader} was paused");
    ensemble.member(leader).pause()?;
    ensemble.await_service().with_context(what)?;
    load.await_progress().with_context(what)?;
    ensemble.member(leader).resume()?;
    ensemble.await_service().with_context(what)?;
    load.await_progress().with_context(what)?;
    load.verify(ensemble).with_context(what)
}

/// The leader `sid` logs what nobody else gets, dies, and joins the others, who know nothing of it, by TRUNC. They have
/// written nothing in their epoch by then: else Apache sends a snapshot, as TRUNC must not cross epochs.
fn truncate(ensemble: &mut Ensemble, load: &Load, sid: Sid) -> Result<()> {
    let what = || format!("{sid} joins by TRUNC");
    load.settle()?;
    leave_with_tail(ensemble, sid).with_context(what)?;
    let before = told(ensemble, sid, Joining::Trunc);
    ensemble.member(sid).start()?;
    ensemble.await_service().with_context(what)?;
    ensure!(
        told(ensemble, sid, Joining::Trunc) > before,
        "{}: it joined in another way; {}",
        what(),
        ensemble.show()
    );
    load.resume();
    load.await_progress().with_context(what)?;
    load.verify(ensemble).with_context(what)
}

/// The same, and the others write on before it joins, in whatever way.
fn fork(ensemble: &mut Ensemble, load: &Load, sid: Sid) -> Result<()> {
    let what = || format!("{sid} joins with a tail of an older epoch");
    load.settle()?;
    leave_with_tail(ensemble, sid).with_context(what)?;
    load.resume();
    load.await_progress().with_context(what)?;
    ensemble.member(sid).start()?;
    ensemble.await_service().with_context(what)?;
    load.await_progress().with_context(what)?;
    load.verify(ensemble).with_context(what)
}

/// The leader `sid` logs what nobody else gets and dies; the others serve without it.
fn leave_with_tail(ensemble: &mut Ensemble, sid: Sid) -> Result<()> {
    let others = ensemble.awake_voters(sid);
    let mut tail = Tail::begin(ensemble.member(sid))?;
    for other in &others {
        ensemble.member(*other).pause()?;
    }
    tail.write(ensemble.member(sid))?;
    ensemble.member(sid).kill()?;
    for other in &others {
        // What the leader sent stands in their sockets; they must not come to read it.
        ensemble.member(*other).kill()?;
    }
    for other in &others {
        ensemble.member(*other).start()?;
    }
    ensemble.await_service()?;
    Ok(())
}
