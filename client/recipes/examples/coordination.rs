//! Workers that begin together, end each phase together, and do not go on before somebody says so.
//!
//! ```text
//! cargo run -p zabra-recipes --example coordination -- 127.0.0.1:2181
//! ```

use std::error::Error;

use zabra_client::Client;
use zabra_recipes::{Barrier, DoubleBarrier, Sessions};

const WORKERS: u32 = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let connect = move || Client::builder(&servers).connect();
    // Put up before anybody can come to it.
    let gate = Barrier::new(
        Sessions::new(connect.clone()).await?,
        "/examples/coordination/gate",
    );
    gate.set().await?;

    // Each has a session of its own, as if it were another program.
    let mut workers = Vec::new();
    for number in 1..=WORKERS {
        let sessions = Sessions::new(connect.clone()).await?;
        workers.push(tokio::spawn(work(number, sessions)));
    }
    println!("the gate is lifted");
    gate.lift().await?;
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

async fn work(number: u32, sessions: Sessions) -> Result<(), zabra_recipes::Error> {
    Barrier::new(&sessions, "/examples/coordination/gate")
        .wait()
        .await?;
    for phase in 1..=2 {
        // Each phase has a path of its own: who is late to leave one is not taken for a member of the next.
        let path = format!("/examples/coordination/phase-{phase}");
        let barrier = DoubleBarrier::new(&sessions, &path, WORKERS);
        let entered = barrier.enter().await?;
        println!("phase {phase}: {number} works");
        entered.leave().await?;
        println!("phase {phase}: {number} goes on");
    }
    Ok(())
}
