use super::{
    OutputRefusal,
    content::{self, Facts},
    json_scan::{self, MOST_DEPTH, NUMBER_BYTES, NotJson, Scalar, Shape},
    number,
    refusal::{refuse, shown},
    walk::Found,
};
use cloister_model::{FieldMinimum, JsonRules, NumberMinimum};
use std::collections::BTreeMap;

pub(super) fn check(file: &Found, facts: &Facts, rules: &JsonRules) -> Result<(), OutputRefusal> {
    let JsonRules { max_depth, max_values, max_text_bytes, minimum, every_number } = rules;
    let refused = |rule, text: String| Err(refuse(rule, Some(&file.name), &text));
    let mut by_field: BTreeMap<&str, Vec<&FieldMinimum>> = BTreeMap::new();
    for one in minimum {
        by_field.entry(&one.field).or_default().push(one);
    }
    let (fields, minima): (Vec<&str>, Vec<Vec<&FieldMinimum>>) = by_field.into_iter().unzip();
    let mut has_value = vec![false; fields.len()];
    let (mut small, mut broken) = (false, None);
    let mut judge = |scalar: Scalar<'_>| {
        // A number that is too long to be checked may not leave.
        let is_short = |text: &&[u8]| u64::try_from(text.len()).is_ok_and(|bytes| bytes <= NUMBER_BYTES);
        let checked = scalar.number.filter(is_short);
        let keeps = |minimum| checked.is_some_and(|text| number::keeps(text, minimum) == Some(true));
        small |= scalar.number.is_some() && every_number.is_some_and(|minimum| !keeps(minimum));
        for place in scalar.fields {
            if let Some(has_value) = has_value.get_mut(*place) {
                *has_value = true;
            }
            let mut minima = minima.get(*place).into_iter().flatten().copied();
            broken = broken.or_else(|| minima.find(|one| !keeps(of_number(one))));
        }
    };
    let scanned = json_scan::scan_values(&mut file.open()?, &fields, &mut judge)
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
    if let Some(one) = broken {
        let (field, least) = (shown(&one.field), number::described(of_number(one)));
        return refused("json-minimum", format!("every value in a field `{field}` must be {least}, one is not"));
    }
    if let Some((field, _)) = fields.iter().zip(has_value).find(|(_, has_value)| !has_value) {
        return refused("json-minimum", format!("a field `{}` with a number must be there", shown(field)));
    }
    match every_number.filter(|_| small) {
        None => Ok(()),
        Some(minimum) => {
            refused("json-every-number", format!("every number must be {}, one is not", number::described(minimum)))
        }
    }
}

fn of_number(FieldMinimum { field: _, least, zero }: &FieldMinimum) -> NumberMinimum {
    NumberMinimum { least: *least, zero: *zero }
}
