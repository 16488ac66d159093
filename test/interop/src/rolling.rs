//! An Apache ensemble becomes ours, one server at a time, and goes back again, on the same directories and files.
//!
//! Each server is stopped as an operator stops it, and the other implementation is started with its `zoo.cfg`, its `myid`
//! and its history. The load goes on all the time; its sessions have time-outs that outlast a change, so none of them may
//! be lost.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ensemble::{Ensemble, Form, Plan, Seat, Sid};
use crate::load::{Load, Timeouts};
use crate::peer::{Line, Peer};
use crate::scene::{Faults, Scene};

/// Members of the ensemble.
const MEMBERS: usize = 3;

/// Replaces Apache 3.9 by `tested` and back, with both forms of configuration, and in a long run the other lines too.
///
/// # Errors
/// Something was lost, or a peer is missing.
pub fn run(tested: Peer, long: bool) -> Result<String> {
    let lines: &[Line] = if long { &Line::ALL } else { &[Line::V3_9] };
    let mut faults = Faults::default();
    for line in lines {
        for form in [Form::Static, Form::Dynamic] {
            let how = match form {
                Form::Static => "static",
                Form::Dynamic => "dynamic",
            };
            let name = format!("rolling: Apache {line} to {tested} and back, {how} configuration");
            let played = Scene::play(&name, |dir| there_and_back(dir, tested, *line, form));
            faults.note(played)?;
        }
    }
    faults.conclude()?;
    Ok(format!(
        "{} ensembles of {MEMBERS} became {tested} and went back",
        2 * lines.len()
    ))
}

fn there_and_back(dir: &Path, tested: Peer, line: Line, form: Form) -> Result<String> {
    let apache = Peer::Apache(line);
    let plan = Plan::brisk(vec![Seat::voter(apache); MEMBERS]).form(form);
    let mut ensemble = Ensemble::start(dir, &plan)?;
    let load = Load::start_with(&ensemble, Timeouts::Long)?;
    load.await_progress()?;
    load.verify(&mut ensemble).context("at the start")?;
    for peer in [tested, apache] {
        for sid in ensemble.sids() {
            replace(&mut ensemble, &load, sid, peer)
                .with_context(|| format!("{sid} becomes {peer}"))?;
        }
    }
    let account = load.account();
    ensure!(
        account.expired == 0,
        "{} sessions were lost: {account}",
        account.expired
    );
    Ok(account.to_string())
}

fn replace(ensemble: &mut Ensemble, load: &Load, sid: Sid, peer: Peer) -> Result<()> {
    ensemble.member(sid).terminate()?;
    ensemble.member(sid).replace(peer)?;
    ensemble.member(sid).start()?;
    ensemble.await_service()?;
    load.await_progress()?;
    load.verify(ensemble)
}
