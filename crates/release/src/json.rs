use super::{
    OutputRefusal,
    content::{self, Facts},
    json_scan::{self, MOST_DEPTH, NUMBER_BYTES, NotJson, Shape},
    number,
    refusal::refuse,
    walk::Found,
};
use cloister_model::JsonRules;

pub(super) fn check(file: &Found, facts: &Facts, rules: &JsonRules) -> Result<(), OutputRefusal> {
    let JsonRules { max_depth, max_values, max_text_bytes, every_number } = rules;
    let refused = |rule, text: String| Err(refuse(rule, Some(&file.name), &text));
    let mut small = false;
    let mut judge = |text: &[u8]| {
        let is_long = u64::try_from(text.len()).map_or(true, |bytes| bytes > NUMBER_BYTES);
        // A number that is too long to be checked may not leave.
        small |= every_number.is_some_and(|minimum| is_long || number::keeps(text, minimum) != Some(true));
    };
    let scanned = json_scan::scan_numbers(&mut file.open()?, &mut judge)
        .map_err(|error| content::unreadable(&file.name, &error))?;
    let Shape { depth, values, text_bytes } = match scanned {
        Ok(shape) if facts.text => shape,
        Err(NotJson::TooDeep) => {
            let most = max_depth.unwrap_or(MOST_DEPTH).min(MOST_DEPTH);
            return refused("json-depth", format!("values may lie {most} deep, some lie deeper"));
        }
        _ => return refused("json-parse", "it is not JSON".to_owned()),
    };
    if let Some(most) = max_depth.filter(|most| depth > *most) {
        return refused("json-depth", format!("values may lie {most} deep, some lie {depth} deep"));
    }
    if let Some(most) = max_values.filter(|most| values > *most) {
        return refused(
            "json-values",
            format!("{most} texts, numbers, booleans and nulls are allowed, it has {values}"),
        );
    }
    if let Some(most) = max_text_bytes.filter(|most| text_bytes > *most) {
        return refused("json-text", format!("a text may have {most} bytes, one has {text_bytes}"));
    }
    match every_number.filter(|_| small) {
        None => Ok(()),
        Some(minimum) => {
            refused("json-every-number", format!("every number must be {}, one is not", number::described(minimum)))
        }
    }
}
