use super::{OutputFile, OutputRefusal, refusal::refuse};
use cloister_model::{FileReport, FilterOrder};

/// Whether the folder holds what the supervisor saw at the end of the run.
pub(super) fn same_as_reported(
    files: &[OutputFile],
    directories: u64,
    order: &FilterOrder,
) -> Result<(), OutputRefusal> {
    let differs = |name: Option<&str>, text: &str| Err(refuse("output-report", name, text));
    let mut reported: Vec<&FileReport> = order.outputs.iter().collect();
    reported.sort();
    let mut reported = reported.into_iter();
    for file in files {
        match reported.next() {
            Some(FileReport { path, bytes, sha256 }) if *path == file.name => {
                if (*bytes, *sha256) != (file.bytes, file.sha256) {
                    return differs(Some(&file.name), "it is not what the report of the run says");
                }
            }
            Some(missing) if missing.path < file.name => {
                return differs(Some(&missing.path), "the report of the run names it, and it is not there");
            }
            _ => return differs(Some(&file.name), "the report of the run does not name it"),
        }
    }
    if let Some(missing) = reported.next() {
        return differs(Some(&missing.path), "the report of the run names it, and it is not there");
    }
    if directories != order.output_directories {
        let text = format!("there are {directories} directories, the report says {}", order.output_directories);
        return differs(None, &text);
    }
    Ok(())
}
