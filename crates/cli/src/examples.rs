//! Examples, for the long help and the manual pages of the commands that people use first. A test parses every one.

/// A command by its names, and what one types, each with a comment in front.
type Examples = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const EXAMPLES: &[Examples] = &[
    (
        &["serve"],
        &[
            ("A working service in ./cloister-data", "cloister serve"),
            ("The settings, and where each comes from", "cloister serve --home /var/lib/cloister --print-config"),
            (
                "For other machines",
                "cloister serve --home /var/lib/cloister --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key",
            ),
        ],
    ),
    (
        &["backup"],
        &[
            ("While the service works", "cloister backup --to /backup/cloister-2026-01-31"),
            (
                "As the user of the service",
                "runuser -u cloister -- cloister --home /var/lib/cloister backup --to /backup/cloister",
            ),
        ],
    ),
    (
        &["restore"],
        &[("Into an empty folder", "cloister --home /var/lib/cloister restore --from /backup/cloister-2026-01-31")],
    ),
    (&["apply"], &[("Publish what two files describe", "cloister apply -f patients.yaml -f column-stats.yaml")]),
    (
        &["dataset"],
        &[
            ("Publish a dataset", "cloister dataset apply -f patients.yaml"),
            ("Trust an algorithm, as it is now", "cloister dataset allow patients bob/column-stats"),
            ("See who may compute", "cloister dataset permissions patients"),
        ],
    ),
    (
        &["dataset", "allow"],
        &[
            ("After you have read it", "cloister dataset allow patients bob/column-stats"),
            ("Download it, to read it", "cloister algorithm fetch bob/column-stats --dir column-stats"),
        ],
    ),
    (
        &["algorithm"],
        &[
            ("Publish an algorithm", "cloister algorithm apply -f column-stats.yaml"),
            ("See what one is and asks for", "cloister algorithm inspect bob/column-stats"),
            ("Download one, to read and to keep it", "cloister algorithm fetch bob/column-stats --dir column-stats"),
        ],
    ),
    (
        &["algorithm", "inspect"],
        &[
            ("One that you are asked to trust", "cloister algorithm inspect bob/column-stats"),
            ("A file of yours, as JSON", "cloister algorithm inspect --file column-stats.wasm -o json"),
            ("A script in Python", "cloister algorithm inspect --file mean.py --image python"),
        ],
    ),
    (
        &["job"],
        &[
            (
                "Run a published algorithm, and watch it",
                "cloister job submit -d alice/patients -a bob/column-stats --follow",
            ),
            ("Download what came out", "cloister job results 8aba434a0fb2c1d5e6f70123456789ab --dir results"),
            ("Why it is where it is", "cloister job explain 8aba434a0fb2c1d5e6f70123456789ab"),
        ],
    ),
    (
        &["job", "submit"],
        &[
            ("A published algorithm", "cloister job submit -d alice/patients -a bob/column-stats --follow"),
            (
                "A script of yours, with a parameter",
                "cloister job submit -d alice/patients --file mean.py -p column=age --wait",
            ),
            ("Would it be allowed?", "cloister job submit -d alice/patients --file mean.py --dry-run"),
            ("A job that a file describes", "cloister job submit -f job.yaml --wait"),
        ],
    ),
    (
        &["job", "results"],
        &[
            ("List them", "cloister job results 8aba434a0fb2c1d5e6f70123456789ab"),
            ("Download them", "cloister job results 8aba434a0fb2c1d5e6f70123456789ab --dir results"),
        ],
    ),
    (
        &["job", "review"],
        &[("Let the outputs leave", "cloister job review 8aba434a0fb2c1d5e6f70123456789ab --approve")],
    ),
    (
        &["key"],
        &[
            ("A key for another account", "cloister key create --account alice --role publisher --expires 90d"),
            ("Revoke one", "cloister key revoke 0123456789abcdef"),
        ],
    ),
    (
        &["key", "create"],
        &[("For another account, as operator", "cloister key create --account alice --role publisher --expires 90d")],
    ),
    (
        &["audit"],
        &[
            ("Verify the log, and note its last hash", "cloister audit verify"),
            ("Move old records into files", "cloister audit archive --before 2026-01-01 --into /srv/audit-archive"),
        ],
    ),
    (&["whoami"], &[("With a key in a file", "cloister --url https://cloister.example.org --key bob.key whoami")]),
];

/// Puts the examples into the long help of their commands.
pub(crate) fn add(command: clap::Command) -> clap::Command {
    EXAMPLES.iter().fold(command, |command, (path, examples)| {
        // A program without the service lacks some commands.
        let exists = path.first().is_some_and(|name| command.find_subcommand(name).is_some());
        if exists { at(command, path, &text(examples)) } else { command }
    })
}

fn at(command: clap::Command, path: &[&'static str], text: &str) -> clap::Command {
    match path {
        [] => command.after_long_help(text.to_owned()),
        [name, rest @ ..] => command.mut_subcommand(*name, |inner| at(inner, rest, text)),
    }
}

fn text(examples: &[(&str, &str)]) -> String {
    let lines = examples.iter().map(|(comment, line)| format!("  # {comment}\n  {}", broken(line)));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// A command that fits into 80 columns, as a shell reads it, too.
fn broken(command: &str) -> String {
    let (mut text, mut used) = (String::new(), 2);
    for word in command.split(' ') {
        if used + word.len() > 76 {
            text.push_str(" \\\n     ");
            used = 5;
        }
        if !text.is_empty() {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.len();
    }
    text
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use super::*;
    use crate::arguments::command_line;

    #[test]
    fn every_example_is_a_command_of_this_program() {
        for (path, examples) in EXAMPLES {
            for (_, line) in *examples {
                let words = line.strip_prefix("runuser -u cloister -- ").unwrap_or(line).split(' ');
                let parsed = command_line().try_get_matches_from(words);
                assert!(
                    parsed.is_ok(),
                    "{path:?}: {line}: {}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn the_long_help_has_examples_and_the_short_help_is_short() {
        let mut help = command_line();
        let serve = help.find_subcommand_mut("serve").expect("a command");
        assert!(serve.render_long_help().to_string().contains("Examples:\n  # A working service"));
        let mut job = command_line();
        job.build();
        let list = job.find_subcommand_mut("job").and_then(|job| job.find_subcommand_mut("list")).expect("a command");
        let (short, long) = (list.render_help().to_string(), list.render_long_help().to_string());
        assert!(!short.contains("--url") && long.contains("--url"), "{short}");
    }
}
