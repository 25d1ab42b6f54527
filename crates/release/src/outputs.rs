use crate::{OutputRefusal, content, csv, json, media, refusal::refuse, reported, walk};
use cloister_model::{FilterOrder, ReleaseRules, Sha256};
use std::path::{Path, PathBuf};

/// A file that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Its path below `/data/outputs`. The guest's text: escape it before showing.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// Whether what an algorithm wrote may leave, sorted by name. Reads the folder itself: neither the guest's names nor the
/// digests of the run's report are trusted; a report that says something else is a refusal, too. Programs that must agree
/// ([`ReleaseRules::checks`]) and people ([`ReleaseRules::review`]) are the caller's. Blocking.
///
/// # Errors
/// The first rule that is not kept.
pub fn check_outputs(outputs: &Path, order: &FilterOrder) -> Result<Vec<OutputFile>, OutputRefusal> {
    let FilterOrder {
        version: _,
        job: _,
        contract,
        release: rules,
        check_limits: _,
        outputs: _,
        output_directories: _,
        unreported,
    } = order;
    let found = walk::walk(outputs, contract)?;
    let mut files = Vec::with_capacity(found.files.len());
    for file in found.files {
        let (digest, facts) = content::read(&file)?;
        if digest.bytes != file.bytes {
            return Err(refuse("output-changed", Some(&file.name), "it changed while it was read"));
        }
        check_content(&file, &facts, rules)?;
        let path = outputs.join(&file.name);
        files.push(OutputFile { name: file.name, path, bytes: digest.bytes, sha256: digest.sha256 });
    }
    if !unreported {
        reported::same_as_reported(&files, found.directories, order)?;
    }
    Ok(files)
}

/// The rules about what a file is.
fn check_content(file: &walk::Found, facts: &content::Facts, rules: &ReleaseRules) -> Result<(), OutputRefusal> {
    let ReleaseRules { media_types: _, csv, json, checks: _, review: _, reviewers: _ } = rules;
    // Where there are rules about a type, there is a list of types, too.
    let Some(allowed) = rules.allowed_types() else { return Ok(()) };
    let media::Media { name: media_type, json: is_json } = media::media_type(file, facts)?;
    // First the rule that says most about what is wrong.
    if let Some(rules) = csv
        && (media_type == media::CSV || named(&file.name, ".csv"))
    {
        csv::check(file, facts, rules)?;
    }
    if let Some(rules) = json
        && (is_json || named(&file.name, ".json"))
    {
        json::check(file, facts, rules)?;
    }
    if !allowed.iter().any(|pattern| pattern.matches(media_type)) {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let text = format!("it is {media_type}; allowed: {}", allowed.join(", "));
        return Err(refuse("media-type", Some(&file.name), &text));
    }
    Ok(())
}

fn named(name: &str, ending: &str) -> bool {
    name.len() >= ending.len() && name.as_bytes()[name.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}

#[cfg(test)]
mod tests;
