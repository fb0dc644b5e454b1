//! Default name of a new pool.
//!
//! On a terminal, prompts with a default. Without a terminal, uses the default, made unique by a
//! number. The default is the name of the keys file without its extension, or `default` for
//! standard input.

use pool_shared::{bounds, pool_name};

use crate::{client::Client, ctx::Ctx, error::CliError, input::KeySource, output::prompt};

/// The name for keys without a file.
const DEFAULT_NAME: &str = "default";

/// Returns the name of the new pool.
pub async fn choose(ctx: &mut Ctx, client: &Client, keys: Option<&KeySource>) -> Result<String, CliError> {
    if !ctx.out.interactive() && keys.is_none() {
        return Err(CliError::usage("the new pool has no name")
            .hint("poolctl pool create NAME, or --keys FILE to name it after the file"));
    }
    let taken: Vec<_> = client.pools().await?.pools.into_iter().map(|pool| pool.name).collect();
    let name = free(&suggestion(keys), &taken);
    if ctx.out.interactive() {
        return ask(ctx, &name, &taken).await;
    }
    ctx.out.note(&format!("the pool is named {name}"));
    Ok(name)
}

/// Prompts until the name is valid and free.
async fn ask(ctx: &mut Ctx, default: &str, taken: &[String]) -> Result<String, CliError> {
    loop {
        let line = prompt::line(&ctx.interrupt, &format!("Name of the new pool [{default}]")).await?;
        let line = if line.trim().is_empty() { default } else { line.as_str() };
        match pool_name(line) {
            Ok(name) if taken.iter().any(|other| other == name) => {
                ctx.out.warn(&format!("pool '{name}' already exists"));
            }
            Ok(name) => return Ok(name.to_owned()),
            Err(error) => ctx.out.warn(&error.to_string()),
        }
    }
}

/// Returns the keys file's name if it is a valid pool name.
fn suggestion(keys: Option<&KeySource>) -> String {
    let Some(KeySource::File(path)) = keys else { return DEFAULT_NAME.to_owned() };
    // A pipe that the shell opened: `--keys <(...)`.
    let is_file = !path.starts_with("/dev") && !path.starts_with("/proc");
    let stem = path.file_stem().filter(|_| is_file).map(|stem| stem.to_string_lossy());
    let shown = |letter: &char| !letter.is_control() && *letter != char::REPLACEMENT_CHARACTER;
    // Leaves room for a number: `keys-2`.
    let longest = bounds::POOL_NAME.saturating_sub(4);
    let name: String = stem.unwrap_or_default().chars().filter(shown).take(longest).collect();
    match pool_name(name.trim_start_matches('.')) {
        Ok(name) => name.to_owned(),
        Err(_) => DEFAULT_NAME.to_owned(),
    }
}

/// Returns the name, or the name with the next number that is free.
fn free(name: &str, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_named_after_its_file() {
        for (path, name) in [
            ("keys.txt", "keys"),
            ("/home/me/team keys.csv", "team keys"),
            ("../prod", "prod"),
            (".env", "env"),
            ("...", "default"),
            ("/dev/fd/63", "default"),
            ("/dev/stdin", "default"),
            ("pool-1.txt", "default"),
            ("a\u{1b}[2Jb.txt", "a[2Jb"),
        ] {
            assert_eq!(suggestion(Some(&KeySource::File(path.into()))), name, "{path}");
        }
        assert_eq!(suggestion(Some(&KeySource::Stdin)), "default");
        let long = suggestion(Some(&KeySource::File("x".repeat(200).into())));
        assert!(pool_name(&free(&long, std::slice::from_ref(&long))).is_ok());
    }

    #[test]
    fn a_taken_name_gets_the_next_number() {
        let taken = ["keys", "keys-2", "keys-4"].map(str::to_owned);
        assert_eq!(free("keys", &taken), "keys-3");
        assert_eq!(free("other", &taken), "other");
    }
}
