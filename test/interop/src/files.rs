//! x
use anyhow::Result;
use crate::peer::Peer;
/// x
pub fn run(_p: Peer, _n: u32, _l: bool) -> Result<String> { anyhow::bail!("not yet") }
