//! The report as text for people, in Markdown.

use super::{
    Reported,
    gather::{Changed, LeftFile, ReportedJob},
};
use cloister_model::{ByteSize, escape};

/// Characters of a name or a sentence in the report.
const MOST_TEXT: usize = 1000;

impl Reported {
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { dataset, did, title, made, since, withdrawn, may_leave, may_use, history } = self;
        let time = since.as_ref().map_or_else(|| "since it was published".to_owned(), |since| format!("since {since}"));
        let mut lines = vec![format!("# Report about the dataset {}", plain(dataset)), String::new()];
        if !title.is_empty() {
            lines.extend([plain(title), String::new()]);
        }
        lines.push(format!("Made at {made}, about what happened {time}. {}.", plain(did)));
        if let Some(withdrawn) = withdrawn {
            lines.push(format!("The dataset was withdrawn at {}: no new job can use it.", plain(withdrawn)));
        }
        section(&mut lines, "What may leave");
        lines.extend(may_leave.iter().map(|sentence| format!("- {}", plain(sentence))));
        section(&mut lines, "Who may use it");
        lines.extend(may_use.iter().map(|sentence| format!("- {}", plain(sentence))));
        section(&mut lines, "What ran");
        let left = history.jobs.iter().filter(|job| job.left.is_some()).count();
        lines.push(format!(
            "{} jobs were allowed, and {} were denied. Results of {left} of them left.",
            history.jobs.len(),
            history.denied
        ));
        if history.files_downloaded > 0 {
            lines.push(format!("Files of the dataset itself were downloaded: {} records.", history.files_downloaded));
        }
        if !history.jobs.is_empty() {
            lines.extend([
                String::new(),
                row(["submitted", "job", "consumer", "algorithm", "end", "left", "review"].map(str::to_owned)),
            ]);
            lines.push(row(["---"; 7].map(str::to_owned)));
            lines.extend(history.jobs.iter().map(of_job));
        }
        section(&mut lines, "What left");
        let before = lines.len();
        for job in history.jobs.iter().filter(|job| job.left.is_some() || !job.log_released_by.is_empty()) {
            lines.push(format!("- job {}, to {}; read {} times:", plain(&job.id), plain(&job.consumer), job.downloads));
            let file = |LeftFile { name, bytes, sha256 }: &LeftFile| {
                format!("  - {}, {}, SHA-256 {}", plain(name), ByteSize(*bytes), plain(sha256))
            };
            lines.extend(job.files.iter().map(file));
            if !job.log_released_by.is_empty() {
                lines.push(format!("  - its log was released by {}", plain(&job.log_released_by.join(", "))));
            }
        }
        if lines.len() == before {
            lines.push("Nothing.".to_owned());
        }
        section(&mut lines, "Changes of the dataset and of its rules");
        let before = lines.len();
        lines.extend(
            history.changes.iter().map(|Changed { at, by, what }| format!("- {}: {what} by {}", plain(at), plain(by))),
        );
        if lines.len() == before {
            lines.push("None.".to_owned());
        }
        section(&mut lines, "What this report rests on");
        lines.push(
            "The rules are those of this moment. The rest is from the audit log, a hash chain that the operator can verify, and from \
             the receipts of the jobs, which the service has signed. Records that the operator has archived are missing. No \
             program can know what the numbers in released files say about people."
                .to_owned(),
        );
        lines
    }
}

fn section(lines: &mut Vec<String>, title: &str) {
    lines.extend([String::new(), format!("## {title}"), String::new()]);
}

fn of_job(job: &ReportedJob) -> String {
    let ReportedJob { id, at, consumer, algorithm, end, reviews, left, refused_by, .. } = job;
    let left = match (left, refused_by) {
        (Some((files, bytes)), _) => format!("{files} files, {}", ByteSize(*bytes)),
        (None, Some(rule)) => format!("nothing: refused by `{rule}`"),
        (None, None) => "nothing".to_owned(),
    };
    let algorithm = algorithm.clone().unwrap_or_else(|| "brought by the consumer".to_owned());
    let end = end.clone().unwrap_or_else(|| "not known".to_owned());
    row([at.clone(), id.clone(), consumer.clone(), algorithm, end, left, reviews.join(", ")])
}

fn row(cells: [String; 7]) -> String {
    format!("| {} |", cells.map(|cell| plain(&cell)).join(" | "))
}

/// A text that means nothing in Markdown: names are others'.
fn plain(text: &str) -> String {
    let mut shown = String::new();
    for character in escape(text.as_bytes(), MOST_TEXT).to_string().chars() {
        if matches!(character, '|' | '<' | '>' | '[' | ']' | '*' | '#') {
            shown.push('\\');
        }
        shown.push(character);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{super::gather::History, *};

    #[test]
    fn a_report_says_what_left_and_no_name_breaks_it() {
        let job = ReportedJob {
            id: "j".to_owned(),
            at: "2026-01-31T12:00:00Z".to_owned(),
            consumer: "bob".to_owned(),
            end: Some("Finished".to_owned()),
            reviews: vec!["approved by alice".to_owned()],
            files: vec![LeftFile { name: "a|<b>\n# c".to_owned(), bytes: 1000, sha256: "00".to_owned() }],
            left: Some((1, 1000)),
            ..ReportedJob::default()
        };
        let reported = Reported {
            dataset: "alice/penguins".to_owned(),
            did: "did:op:d".to_owned(),
            title: "Penguins".to_owned(),
            made: "2026-02-01T00:00:00Z".to_owned(),
            since: None,
            withdrawn: None,
            may_leave: vec!["May leave: no files.".to_owned()],
            may_use: vec!["No algorithm may compute on it yet.".to_owned()],
            history: History { jobs: vec![job], ..History::default() },
        };
        let text = reported.lines().join("\n");
        for part in [
            "# Report about the dataset alice/penguins",
            "- May leave: no files.",
            "| 2026-01-31T12:00:00Z | j | bob | brought by the consumer | Finished | 1 files, 1 kB | approved by alice |",
            "  - a\\|\\<b\\>\\n\\# c, 1 kB, SHA-256 00",
            "None.",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(reported.lines().iter().all(|line| !line.contains('\n')));
    }
}
