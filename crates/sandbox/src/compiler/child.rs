use super::{Descriptor, Request, Response, Role};
use crate::{engine::Purpose, host_file::read_bounded};
use anyhow::{Context as _, Result};
use cloister_isolation::{self as isolation, Role as Syscalls};
use cloister_model::{ModuleKind, Verdict};
use std::{fs::File, io::Write as _};

/// Checks and compiles one module from the descriptors that this process inherited.
///
/// # Errors
/// If a descriptor is missing or the answer cannot be written.
pub(crate) fn main() -> Result<()> {
    let take = |descriptor: Descriptor| isolation::take_fd(descriptor as i32).map(File::from);
    let mut result = take(Descriptor::Result)?;
    let Request { limits, role, engine, effort } =
        serde_json::from_slice(&read_bounded(&mut take(Descriptor::Request)?, 1 << 20)?)?;
    let mut module = take(Descriptor::Module)?;
    let artifact = engine.map(|engine| Ok::<_, std::io::Error>((engine, take(Descriptor::Artifact)?))).transpose()?;

    // From here on: no file, no network, no new program. `sandbox probe` shows which walls this kernel lacks.
    isolation::close_rest();
    isolation::ignore_file_size_signal();
    isolation::undumpable().context("cannot switch off core dumps")?;
    isolation::drop_capabilities();
    isolation::restrict_files(isolation::Paths { read: &[], write: None });
    isolation::restrict_syscalls(Syscalls::Compiler);

    let bytes = match read_bounded(&mut module, limits.module_bytes) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            // Not `File::metadata`: it calls statx with an empty path, which the filter refuses.
            let size = u64::try_from(rustix::fs::fstat(&module)?.st_size).unwrap_or_default();
            let admission = cloister_admission::too_many_bytes(size, &limits);
            return answer(
                &mut result,
                &Response { admission, error: None, artifact_too_large: false, no_space: false },
            );
        }
        Err(error) => return Err(error.into()),
    };
    let admission = cloister_admission::admit(&cloister_admission::Request {
        bytes: &bytes,
        limits: &limits,
        role: match &role {
            Role::Algorithm => cloister_admission::Role::Algorithm,
            Role::Runtime { trap, start } => cloister_admission::Role::Runtime { trapped_imports: trap, start },
        },
    });
    let mut response = Response { admission, error: None, artifact_too_large: false, no_space: false };
    if let (Some((engine, mut file)), Verdict::Admitted) = (artifact, &response.admission.verdict) {
        let engine = engine.engine(Purpose::Compile(effort))?;
        let compiled = match response.admission.kind {
            Some(ModuleKind::Component) => engine.precompile_component(&bytes),
            Some(ModuleKind::Preview1Command | ModuleKind::Preview1Reactor) | None => {
                engine.precompile_module(&cloister_admission::without_names(bytes))
            }
        };
        match compiled {
            Ok(code) => {
                if let Err(error) = file.write_all(&code) {
                    response.artifact_too_large = error.kind() == std::io::ErrorKind::FileTooLarge;
                    response.no_space =
                        matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
                    response.error = Some(format!("cannot write the artifact: {error}"));
                }
            }
            Err(error) => {
                response.error = Some(cloister_model::escape(format!("{error:#}").as_bytes(), 500).to_string());
            }
        }
    }
    answer(&mut result, &response)
}

fn answer(result: &mut File, response: &Response) -> Result<()> {
    result.write_all(&serde_json::to_vec(response)?).context("the supervisor does not read the answer")
}
