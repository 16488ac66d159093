//! x
use anyhow::Result;
use crate::peer::Peer;
/// x
pub struct Plan { /// s
 pub seed: u64, /// s
 pub ops: u64 }
/// x
pub fn run(_p: Peer, _plan: &Plan) -> Result<String> { anyhow::bail!("not yet") }
