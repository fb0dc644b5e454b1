//! Runner of single cases under callgrind: `quick-work CASE TIMES`. Without arguments it lists the
//! cases.
//!
//! The difference of two runs excludes the cost of the program start.

#![allow(clippy::unwrap_used, reason = "a benchmark, not a service")]
#![forbid(unsafe_code)]

use std::io::Write as _;

use pool_bench::harness::{Harness, Kind};
use pool_bench::translations;

/// A process's first chat, which loads a pool of this many keys.
const LOAD: &str = "load: pool of 2,000 keys";
const KEYS_TO_LOAD: usize = 2_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, times] = &arguments[..] else {
        let translations = translations::all().into_iter().map(|(name, _)| format!("translate: {name}"));
        let requests = Kind::all().into_iter().map(|kind| format!("serve: {}", kind.name));
        for name in translations.chain(requests).chain([LOAD.to_owned()]) {
            writeln!(std::io::stdout(), "{name}")?;
        }
        return Ok(());
    };
    let times: u32 = times.parse()?;
    match case.split_once(": ") {
        Some(("translate", name)) => {
            let all = translations::all();
            let (_, work) = all.iter().find(|(found, _)| *found == name).unwrap();
            (0..times).for_each(|_| work());
        }
        Some(("serve", name)) => {
            let kind = Kind::all().into_iter().find(|kind| kind.name == name).unwrap();
            let harness = Harness::default();
            let client = harness.create_pool("pool", 10);
            harness.prepare(&kind);
            for _ in 0..times {
                harness.send(&client, &kind);
            }
        }
        _ if case == LOAD => {
            let chat = Kind::all().swap_remove(0);
            let mut harness = Harness::default();
            let client = harness.create_pool("pool", KEYS_TO_LOAD);
            harness.prepare(&chat);
            for _ in 0..times {
                harness.restart();
                harness.send(&client, &chat);
            }
        }
        _ => anyhow::bail!("there is no case '{case}'"),
    }
    Ok(())
}
