//! `cloister algorithm inspect`: what an algorithm is and asks for, and whether it may run, without running it. What it says is what
//! `sandbox inspect` says, which exists on Linux only: both take it from `cloister-admission`, which holds no engine.

use super::{
    fetch::{download, files_checksum},
    name::{Named, find},
};
use crate::{
    client::{Asset, read},
    context::Context,
    exit::{Ended, FAILED, Usage},
    output::{Format, note, print_document, print_field, print_line, shown_path},
};
use anyhow::Context as _;
use cloister_admission::{Request, Role, admit, too_many_bytes};
use cloister_model::{AssetKind, InspectedProgram, Limits, Sha256};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    thread,
};

/// The image of algorithms that are WebAssembly themselves.
const WASM: &str = "wasm";

/// The stack of the thread that reads a program, in bytes. The first thread of a program has so much on Linux, and an eighth of it on
/// Windows.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// The column of the values.
const COLUMN: usize = 13;

/// Show what an algorithm is, what it imports, and whether it may run
///
/// A published algorithm is downloaded, and its files are compared with the checksums that the service lists; no file is written. A
/// file with --file is sent nowhere. Nothing of it is compiled or run. The verdict is that of the default limits of a run.
///
/// Scripts are not checked: their interpreter runs them in the same isolation as any program.
///
/// Exit code 0: it is admitted, or a script. 1: it is refused, so that no job with the default limits can run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The algorithm. Its author must let you download it, or ask you to inspect it
    #[arg(required_unless_present = "file")]
    algorithm: Option<Named>,
    /// Inspect a file on this machine instead of asking the service
    #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
    file: Option<PathBuf>,
    /// The image that runs the file, if it is a script: `python`
    #[arg(long, value_name = "IMAGE", requires = "file")]
    image: Option<String>,
}

impl Inspect {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match (self.algorithm, self.file) {
            (_, Some(file)) => inspect_file(&file, self.image.as_deref(), context.format),
            (Some(algorithm), None) => inspect_published(&algorithm, context).await,
            (None, None) => Err(Usage::error("give an algorithm, or --file")),
        }
    }
}

fn inspect_file(path: &Path, image: Option<&str>, format: Format) -> anyhow::Result<()> {
    let wrong = |problem: &dyn std::fmt::Display| Usage::error(format!("`{}`: {problem}", path.display()));
    // Before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(|error| wrong(&error))?.is_file() {
        return Err(wrong(&"not a regular file"));
    }
    let mut file = File::open(path).map_err(|error| wrong(&error))?;
    let (mut seen, mut buffer) = (Seen::default(), vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer).map_err(|error| wrong(&error))?;
        if read == 0 {
            break;
        }
        seen.add(&buffer[..read]);
    }
    let inspected = seen.inspect(image)?;
    if format == Format::Table {
        print(&inspected)?;
    } else {
        print_document(format, &serde_json::to_value(&inspected)?)?;
    }
    verdict(&shown_path(path), [&inspected])
}

async fn inspect_published(algorithm: &Named, context: &Context) -> anyhow::Result<()> {
    let client = context.client()?;
    let did = find(&client, AssetKind::Algorithm, algorithm).await?;
    let answer = client.get(&["v1", "algorithms", &did], &[]).await?;
    let checksum = files_checksum(&read::<Asset>(&answer)?)?;
    let image = image_of(&answer["ddo"]);
    let mut files = Vec::new();
    for (number, sha256) in checksum.files().iter().enumerate() {
        let mut seen = Seen::default();
        download(&client, &did, number, *sha256, |piece| {
            seen.add(piece);
            Ok(())
        })
        .await?;
        files.push(seen.inspect(image)?);
    }
    if context.format == Format::Table {
        for (number, inspected) in files.iter().enumerate() {
            if files.len() > 1 {
                let space = if number == 0 { "" } else { "\n" };
                print_line(&format!("{space}file {number}:"))?;
            }
            print(inspected)?;
        }
    } else {
        print_document(context.format, &json!({"did": did, "filesChecksum": checksum, "files": files}))?;
    }
    verdict(&algorithm.to_string(), &files)?;
    if context.format == Format::Table {
        let allow = format!("cloister dataset allow DATASET {algorithm} --checksum {checksum}");
        note(&format!("To trust exactly these bytes:\n{allow}"));
    }
    Ok(())
}

/// The image in the description of an algorithm.
fn image_of(ddo: &Value) -> Option<&str> {
    ddo["metadata"]["algorithm"]["container"]["image"].as_str()
}

fn print(inspected: &InspectedProgram) -> anyhow::Result<()> {
    for (name, value) in inspected.lines() {
        print_field(name, COLUMN, &value)?;
    }
    Ok(())
}

/// An error if a file is refused.
fn verdict<'a>(name: &str, files: impl IntoIterator<Item = &'a InspectedProgram>) -> anyhow::Result<()> {
    if files.into_iter().all(|file| file.outcome.is_none()) {
        return Ok(());
    }
    Err(Ended::error(FAILED, format!("{name} is refused: no job with the default limits can run it")))
}

/// What was read of a file: its digest, and its content unless that is too large to be admitted.
#[derive(Default)]
struct Seen {
    digest: sha2::Sha256,
    bytes: u64,
    content: Vec<u8>,
}

impl Seen {
    fn add(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.is_too_large() {
            self.content = Vec::new();
        } else {
            self.content.extend_from_slice(piece);
        }
    }

    fn is_too_large(&self) -> bool {
        self.bytes > Limits::default().module_bytes
    }

    fn inspect(self, image: Option<&str>) -> anyhow::Result<InspectedProgram> {
        let (lines, is_too_large) = (lines(&self.content), self.is_too_large());
        let Self { digest, bytes, content } = self;
        let sha256 = Sha256::from_bytes(digest.finalize().into());
        let admission = if is_too_large { too_many_bytes(bytes, &Limits::default()) } else { admission(content)? };
        let inspected = InspectedProgram::new(sha256, bytes, admission);
        Ok(match image {
            Some(image) if image != WASM => inspected.run_by(image, lines),
            _ => inspected,
        })
    }
}

/// The report of a program. A thread reads it, so that a fault of the reader is an error.
fn admission(content: Vec<u8>) -> anyhow::Result<cloister_model::Admission> {
    let limits = Limits::default();
    let read = move || admit(&Request { bytes: &content, limits: &limits, role: Role::Algorithm });
    let reader = thread::Builder::new().stack_size(STACK_BYTES).spawn(read).context("starting a thread")?;
    reader.join().map_err(|_| anyhow::anyhow!("this program failed when it read the algorithm: do not trust it"))
}

/// The lines of a text; none if it is no text.
fn lines(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))?;
    u64::try_from(text.lines().count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pieces: &[&[u8]]) -> Seen {
        let mut seen = Seen::default();
        pieces.iter().for_each(|piece| seen.add(piece));
        seen
    }

    #[test]
    fn a_file_in_pieces_is_the_same_file() {
        let whole = seen(&[b"\0asm\x01\0\0\0"]).inspect(None).expect("read");
        let pieces = seen(&[b"\0as", b"", b"m\x01\0\0\0"]).inspect(None).expect("read");
        assert_eq!(whole, pieces);
        assert_eq!((whole.sha256, whole.bytes), (Sha256::of(b"\0asm\x01\0\0\0"), 8));
        assert!(whole.to_string().contains("REFUSED      entry-point"), "{whole}");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let piece = vec![0; 1 << 20];
        let mut seen = Seen::default();
        while !seen.is_too_large() {
            seen.add(&piece);
        }
        seen.add(&piece);
        assert_eq!(seen.content.capacity(), 0);
        let inspected = seen.inspect(Some("python")).expect("read");
        assert!(inspected.outcome.is_some() && inspected.script.is_none(), "{inspected}");
        assert!(inspected.to_string().contains("too-large"), "{inspected}");
    }

    #[test]
    fn a_script_is_what_the_image_says() {
        let script = b"import pandas\nprint(1)";
        for image in [None, Some("wasm")] {
            let inspected = seen(&[script]).inspect(image).expect("read");
            assert!(inspected.to_string().contains("REFUSED      not-web-assembly"), "{inspected}");
            assert!(verdict("a", [&inspected]).is_err());
        }
        let inspected = seen(&[script]).inspect(image_of(&json!({"metadata": {"algorithm": {"container":
            {"image": "python"}}}})));
        let inspected = inspected.expect("read");
        let found = inspected.script.clone().expect("a script");
        assert_eq!((found.image.as_str(), found.lines), ("python", Some(2)));
        assert!(verdict("a", [&inspected]).is_ok());
        assert_eq!(image_of(&Value::Null), None);
        // An archive of several files has no lines.
        let archive = seen(&[b"PK\x03\x04\xff\xff"]).inspect(Some("python")).expect("read");
        assert_eq!(archive.script.expect("a script").lines, None);
        // A program stays one, whatever runs it.
        let module = seen(&[b"\0asm\x01\0\0\0"]).inspect(Some("python")).expect("read");
        assert!(module.script.is_none() && module.outcome.is_some(), "{module}");
    }
}
