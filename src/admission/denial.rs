//! Why a workload may not use Timbr, and what would let it.

use serde_json::{Map, Value, json};

use crate::{
    api::{API_VERSION, PolicyTarget},
    policy::{Decision, Trust, rule_for},
    yaml,
};

use super::consumer::Consumer;

/// What a refusal says: why, and a policy to apply. The policy holds the missing rule alone, as policies of a component
/// unite: nothing of what others wrote is shown, and nothing of it is lost when it is applied.
pub fn denial(consumer: &Consumer, target: PolicyTarget, of: &str, decision: &Decision, trust: &Trust) -> String {
    let reason = format!(
        "{} may not use {} of the Timbr in namespace {of}: {}",
        consumer.title,
        target.as_str(),
        decision.message
    );
    match cure(consumer, target, of, trust) {
        Some(cure) => format!("{reason}\nWhoever looks after that Timbr lets it in by applying this:\n---\n{cure}"),
        None => reason,
    }
}

/// A policy that lets a consumer in; `None` where no rule could.
pub fn cure(consumer: &Consumer, target: PolicyTarget, of: &str, trust: &Trust) -> Option<String> {
    let rule = rule_for(&consumer.workload, of, trust)?;
    let name = format!("{}-from-{}-{}", target.as_str(), consumer.workload.namespace, rule.application);
    let fields = [("application", Some(rule.application)), ("namespace", rule.namespace), ("cluster", rule.cluster)];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    let policy = json!({
        "apiVersion": API_VERSION,
        "kind": "InboundAccessPolicy",
        "metadata": {"name": name.to_lowercase().replace('_', "-"), "namespace": of},
        "spec": {"target": target, "inbound": {"rules": [fields.collect::<Map<_, _>>()]}},
    });
    yaml::write(&policy).ok()
}
