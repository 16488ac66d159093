//! x
use anyhow::Result;
use crate::peer::Peer;
/// x
pub fn run(_p: Peer) -> Result<String> { anyhow::bail!("not yet") }
