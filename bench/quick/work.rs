//! `quick-work CASE TIMES` does one case so often, to be counted by callgrind; without arguments it lists the cases.
//!
//! Whoever counts runs a case twice and takes the difference: what the start of the program costs falls out.

#![allow(clippy::unwrap_used, reason = "a benchmark, not a service")]
#![forbid(unsafe_code)]

use std::io::Write as _;

use pool_bench::harness::{Harness, Kind};
use pool_bench::translations;

/// A process's first chat: it reads the pool, of so many keys.
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
            let caller = harness.create_pool("pool", 10);
            harness.prepare(&kind);
            for _ in 0..times {
                harness.send(&caller, &kind);
            }
        }
        _ if case == LOAD => {
            let chat = Kind::all().swap_remove(0);
            let mut harness = Harness::default();
            let caller = harness.create_pool("pool", KEYS_TO_LOAD);
            harness.prepare(&chat);
            for _ in 0..times {
                harness.restart();
                harness.send(&caller, &chat);
            }
        }
        _ => anyhow::bail!("there is no case '{case}'"),
    }
    Ok(())
}
