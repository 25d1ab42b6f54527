use super::Start;
use cloister_model::AuditRecord;
use std::path::Path;

pub(super) fn run(_start: Start) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}

pub(crate) fn each_record(
    _home: &Path,
    _act: &mut impl FnMut(AuditRecord) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}

pub(crate) fn openapi() -> anyhow::Result<String> {
    anyhow::bail!("not yet")
}
