use super::{
    OutputRefusal,
    content::{self, Facts},
    json_scan::{self, MOST_DEPTH, NotJson, Shape},
    refusal::refuse,
    walk::Found,
};
use cloister_model::JsonRules;

pub(super) fn check(file: &Found, facts: &Facts, rules: &JsonRules) -> Result<(), OutputRefusal> {
    let JsonRules { max_depth, max_values, max_text_bytes } = rules;
    let refused = |rule, text: String| Err(refuse(rule, Some(&file.name), &text));
    let scanned = json_scan::scan(&mut file.open()?).map_err(|error| content::unreadable(&file.name, &error))?;
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
    Ok(())
}
