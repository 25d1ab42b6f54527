//! What an output policy means, for its publisher: in one sentence, and where it has a hole.

use super::OutputPolicy;
use crate::{ByteSize, MediaPattern, escape};
use std::fmt;

/// Types that are named in a sentence. More are counted.
const MOST_NAMED: usize = 6;

impl fmt::Display for OutputPolicy {
    /// What may leave, such as `at most 10 MB in 20 files, any type, no log, without review`. Names nothing of the publisher but
    /// media types.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budgets, release } = self;
        match (budgets.max_files, budgets.max_bytes) {
            (0, _) => f.write_str("no files")?,
            (1, bytes) => write!(f, "at most {} in 1 file, {}", ByteSize(bytes), self.types())?,
            (files, bytes) => write!(f, "at most {} in {files} files, {}", ByteSize(bytes), self.types())?,
        }
        match budgets.max_log_bytes {
            0 => f.write_str(", no log")?,
            bytes => write!(f, ", {} of log", ByteSize(bytes))?,
        }
        match release.checks.len() {
            0 => {}
            1 => f.write_str(", after 1 check")?,
            checks => write!(f, ", after {checks} checks")?,
        }
        f.write_str(match (release.review, release.needs_two()) {
            (false, _) => ", without review",
            (true, false) => ", after review",
            (true, true) => ", after review by two",
        })
    }
}

impl OutputPolicy {
    fn types(&self) -> String {
        let Some(types) = self.release.allowed_types() else { return "any type".to_owned() };
        let mut named: Vec<String> = types.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        if types.len() > MOST_NAMED {
            named.push(format!("{} other types", types.len() - MOST_NAMED));
        }
        match named.split_last() {
            None => "no type".to_owned(),
            Some((last, [])) => format!("only {last}"),
            Some((last, before)) => format!("only {} and {last}", before.join(", ")),
        }
    }

    /// Where the policy lets out more than its publisher may think, in sentences that say what to write instead. Empty if a
    /// person has to approve everything that leaves.
    #[must_use]
    pub fn cautions(&self) -> Vec<String> {
        let Self { budgets, release } = self;
        let mut cautions = Vec::new();
        if release.review {
            return cautions;
        }
        if self.log_bytes() > 0 {
            let log = ByteSize(budgets.max_log_bytes);
            cautions.push(format!(
                "{log} of log may leave, and no rule checks the log: an algorithm can print rows. Set `maxLogBytes: 0`; \
                 you can still read the log and release it"
            ));
        }
        if budgets.max_files == 0 || budgets.max_bytes == 0 {
            return cautions;
        }
        match release.allowed_types() {
            None if release.checks.is_empty() => {
                let anything = budgets.names.iter().any(|name| name.to_string() == "**");
                let names = if anything { " of any name and" } else { "" };
                cautions.push(format!(
                    "files{names} of any type may leave, and no rule looks into them: an algorithm can copy rows. Set \
                     `csv` or `json` rules, or `review: true`"
                ));
            }
            Some(types) if release.checks.is_empty() => cautions.extend(self.unruled(types)),
            None | Some(_) => {}
        }
        if let Some(csv) = &release.csv
            && csv.max_rows.is_none()
            && csv.minimum.is_empty()
            && csv.every_number.is_none()
        {
            cautions.push(
                "`csv` bounds neither rows nor counts: a table may be a copy of the data. Set `csv.maxRows`".to_owned(),
            );
        }
        if let Some(json) = &release.json
            && json.max_values.is_none()
            && json.every_number.is_none()
        {
            cautions.push(
                "`json` does not bound values: a document may be a copy of the data. Set `json.maxValues`".to_owned(),
            );
        }
        cautions
    }

    /// The media types that may leave and that no rule looks into.
    fn unruled(&self, types: std::collections::BTreeSet<MediaPattern>) -> Option<String> {
        let ruled = |pattern: &MediaPattern| match pattern.to_string().as_str() {
            "text/csv" => self.release.csv.is_some(),
            "application/json" => self.release.json.is_some(),
            _ => false,
        };
        let open: Vec<String> =
            types.into_iter().filter(|pattern| !ruled(pattern)).map(|one| one.to_string()).collect();
        let shown = escape(open.join(", ").as_bytes(), 200).to_string();
        (!open.is_empty()).then(|| {
            format!(
                "no rule looks into files of the type {shown}, which may hold rows. Take the type out of `mediaTypes`, or set \
                 rules for it, `checks` or `review: true`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Permissions;
    use super::*;
    use serde_json::{Value, json};

    fn policy(value: Value) -> OutputPolicy {
        Permissions::from_value(&json!({"outputContract": value})).expect("rules").output_contract
    }

    #[test]
    fn what_may_leave_is_one_sentence() {
        let check = json!({"name": "c", "sha256": "ab".repeat(32)});
        for (value, expected) in [
            (json!({}), "at most 10 MB in 20 files, any type, no log, without review"),
            (json!({"maxFiles": 0}), "no files, no log, without review"),
            (
                json!({"maxBytes": 1_048_576, "maxFiles": 1, "maxLogBytes": 5000, "review": true}),
                "at most 1 MiB in 1 file, any type, 5 kB of log, after review",
            ),
            (
                json!({"csv": {"maxRows": 9}, "checks": [check]}),
                "at most 10 MB in 20 files, only text/csv, no log, after 1 check, without review",
            ),
            (
                json!({"mediaTypes": ["image/*", "text/csv", "text/plain"]}),
                "at most 10 MB in 20 files, only image/*, text/csv and text/plain, no log, without review",
            ),
            (
                json!({"mediaTypes": ["a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8"]}),
                "at most 10 MB in 20 files, only a/1, a/2, a/3, a/4, a/5, a/6 and 2 other types, no log, without review",
            ),
        ] {
            assert_eq!(policy(value).to_string(), expected);
        }
    }

    #[test]
    fn holes_are_named() {
        let check = json!([{"name": "c", "sha256": "ab".repeat(32)}]);
        for (value, expected) in [
            (json!({}), vec!["files of any name and of any type"]),
            (json!({"names": ["*.txt"]}), vec!["files of any type"]),
            (json!({"review": true, "maxLogBytes": 100}), vec![]),
            (json!({"checks": check}), vec![]),
            (json!({"maxFiles": 0}), vec![]),
            (json!({"maxFiles": 0, "maxLogBytes": 1}), vec!["1 byte of log"]),
            (json!({"csv": {"maxRows": 10}}), vec![]),
            (json!({"csv": {"maxRows": 10}, "maxLogBytes": 1000}), vec!["1 kB of log"]),
            (json!({"csv": {"maxColumns": 10}}), vec!["`csv` bounds neither"]),
            (json!({"csv": {"minimum": [{"column": "n", "least": 10}]}}), vec![]),
            (json!({"json": {"maxDepth": 3}}), vec!["`json` does not bound values"]),
            (
                json!({"csv": {"maxRows": 10}, "mediaTypes": ["application/json", "image/*", "text/csv"]}),
                vec!["no rule looks into files of the type application/json, image/*,"],
            ),
            (json!({"csv": {"maxRows": 10}, "mediaTypes": ["image/*", "text/csv"], "checks": check}), vec![]),
        ] {
            let cautions = policy(value.clone()).cautions();
            assert_eq!(cautions.len(), expected.len(), "{value}: {cautions:#?}");
            for (caution, expected) in cautions.iter().zip(expected) {
                assert!(caution.starts_with(expected), "{value}: {caution}");
            }
        }
    }
}
