//! Secrets from files: each secret can be given by itself, or by the name of a file with it.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use dataapi::Invalid;

use crate::error::CommandError;

/// A file with a secret: the flag that names it, the flag's id, and the path.
type SecretFile<'p> = (&'static str, &'static str, Option<&'p Path>);

/// Reads the secret from its file, if the file was named and the secret itself was not: a flag comes before a variable,
/// and both by flag, or both by variable, contradict each other. `None` if the secret itself counts.
pub(crate) fn from_file(
    matches: &ArgMatches,
    secret: &str,
    (flag, file, path): SecretFile<'_>,
) -> Result<Option<String>, CommandError> {
    let source =
        |id| matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue);
    choose(source(secret), source(file), flag, path)
}

/// The same for a secret that only a variable holds.
pub(crate) fn from_file_or_variable(
    matches: &ArgMatches,
    variable: &str,
    (flag, file, path): SecretFile<'_>,
) -> Result<Option<String>, CommandError> {
    let held = std::env::var(variable).ok().filter(|secret| !secret.is_empty());
    let source = held.is_some().then_some(ValueSource::EnvVariable);
    Ok(choose(source, matches.value_source(file), flag, path)?.or(held))
}

fn choose(
    secret: Option<ValueSource>,
    from: Option<ValueSource>,
    flag: &'static str,
    path: Option<&Path>,
) -> Result<Option<String>, CommandError> {
    let Some(path) = path.filter(|_| from >= secret) else { return Ok(None) };
    if from == secret {
        let rule =
            "and the secret itself were both given, which contradict each other; give one of them";
        return Err(Invalid::new(flag, rule).into());
    }
    dataapi::read_secret(path).map(Some).map_err(|source| CommandError::Secret { flag, source })
}
