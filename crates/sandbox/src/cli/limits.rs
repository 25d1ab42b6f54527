use super::Usage;
use cloister_model::{ByteSize, Limits};
use std::path::Path;

/// Limits on the command line: a JSON file or `name=value` pairs.
#[derive(Clone, Debug)]
pub(super) struct LimitsArgument(String);

impl std::str::FromStr for LimitsArgument {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// The help text of `--limits`.
pub(super) const HELP: &str = "Limits: a JSON file, a JSON object, or pairs such as memory=512MiB,wall=60s,fuel=1000000000. \
    Names: memory, wall, cpu, fuel, stack, handles, tables, instances, call, module, compile-wall, compile-memory, artifact";

impl LimitsArgument {
    /// Applies the given limits to the defaults, in order.
    pub(super) fn resolve(given: &[Self]) -> anyhow::Result<Limits> {
        let mut limits = Limits::default();
        for Self(text) in given {
            if text.contains('=') && !text.starts_with('{') {
                for pair in text.split(',') {
                    set(&mut limits, pair)?;
                }
            } else {
                limits = super::read_json("limits", Path::new(text))?;
            }
        }
        Ok(limits)
    }
}

fn set(limits: &mut Limits, pair: &str) -> anyhow::Result<()> {
    let wrong = |problem: &str| Usage(format!("limit `{pair}`: {problem}"));
    let (name, value) = pair.split_once('=').ok_or_else(|| wrong("expected name=value"))?;
    let bytes = || {
        let size = value.parse::<ByteSize>();
        size.map(|ByteSize(bytes)| bytes).map_err(|_| wrong("expected a size, such as 1000000, 64KiB, 512MiB or 2GiB"))
    };
    let time =
        || humantime::parse_duration(value).map_err(|_| wrong("expected a duration, such as 500ms, 30s, 5m or 1h"));
    let millis = || Ok::<_, Usage>(u64::try_from(time()?.as_millis()).unwrap_or(u64::MAX));
    let number = || value.parse::<u64>().map_err(|_| wrong("expected a number"));
    let small = || value.parse::<u32>().map_err(|_| wrong("expected a number"));
    match name {
        "memory" => limits.memory_bytes = bytes()?,
        "wall" => limits.wall_ms = millis()?,
        "cpu" => limits.cpu_seconds = time()?.as_secs(),
        "fuel" => limits.fuel = Some(number()?),
        "stack" => limits.stack_bytes = bytes()?,
        "handles" => limits.handles = small()?,
        "tables" => limits.table_elements = number()?,
        "instances" => limits.instances = small()?,
        "call" => limits.call_bytes = bytes()?,
        "module" => limits.module_bytes = bytes()?,
        "compile-wall" => limits.compile.wall_ms = millis()?,
        "compile-memory" => limits.compile.memory_bytes = bytes()?,
        "artifact" => limits.compile.artifact_bytes = bytes()?,
        _ => return Err(wrong("unknown limit; see --help for the names").into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_set_what_they_name() {
        let given = ["memory=512MiB,wall=90s,compile-wall=1h30m", "fuel=7"].map(|text| LimitsArgument(text.to_owned()));
        let limits = LimitsArgument::resolve(&given).expect("limits");
        assert_eq!((limits.memory_bytes, limits.wall_ms, limits.fuel), (512 << 20, 90_000, Some(7)));
        assert_eq!(limits.compile.wall_ms, 5_400_000);
    }

    #[test]
    fn an_object_can_be_given_itself() {
        let resolve = |text: &str| LimitsArgument::resolve(&[LimitsArgument(text.to_owned())]);
        let limits = Limits { wall_ms: 7, ..Limits::default() };
        assert_eq!(resolve(&serde_json::to_string(&limits).expect("JSON")).expect("limits"), limits);
        assert!(resolve("{\"wallMs\": 7, \"color\": \"=\"}").is_err());
        assert!(resolve("{").is_err());
    }

    #[test]
    fn unknown_names_units_and_overflows_are_refused() {
        for text in [
            "memory=",
            "memory=1TiBs",
            "memory=-1",
            "wall=5",
            "wall=1parsec",
            "colour=red",
            "fuel=1e9",
            "memory=99999999999GiB",
        ] {
            assert!(LimitsArgument::resolve(&[LimitsArgument(text.to_owned())]).is_err(), "{text}");
        }
    }
}
