//! Benchmark, not a test: `cargo test --release -p etatuki-plugin-host --test figures -- --ignored
//! --nocapture`.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Folder, start_well};

#[tokio::test]
#[ignore = "a benchmark"]
async fn figures() {
    let folder = Folder::new();
    let spec = folder.echo(serde_json::Value::Null);
    let mut ready = Vec::new();
    for _ in 0..30 {
        let started = Instant::now();
        let (host, _events) = start_well(&spec).await;
        ready.push(started.elapsed());
        host.shutdown().await;
    }
    ready.sort();
    println!(
        "plugin host: start to loaded, ms: {:.1} [{:.1}..{:.1}]",
        ms(ready[15]),
        ms(ready[0]),
        ms(ready[29])
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
