//! KWOK, which plays the kubelet: it turns nodes and pods Ready without running anything.
//!
//! What it does is written in stages, shipped with it. One is added here: a pod with the label
//! [`NEVER_READY`] starts and never becomes ready, as one whose new configuration does not work.

use std::path::Path;

use crate::assets;
use crate::supervisor::{Builder, Process};

/// The label, with the value `"true"`, of a pod that runs and never becomes ready.
pub const NEVER_READY: &str = "testkit/never-ready";

/// The shipped stage that turns pods ready, and where its conditions begin.
const READY_STAGE: &str = "name: pod-ready\n";
const CONDITIONS: &str = "    matchExpressions:\n";

/// Keeps the shipped stage from pods that carry the label.
const EXCEPT: &str = r#"    - key: '.metadata.labels["testkit/never-ready"]'
      operator: 'NotIn'
      values:
      - 'true'
"#;

const NEVER_READY_STAGE: &str = r#"---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: pod-never-ready
spec:
  resourceRef:
    apiGroup: v1
    kind: Pod
  selector:
    matchLabels:
      testkit/never-ready: 'true'
    matchExpressions:
    - key: '.metadata.deletionTimestamp'
      operator: 'DoesNotExist'
    - key: '.status.phase'
      operator: 'In'
      values:
      - 'Pending'
  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
      - lastTransitionTime: {{ $now | Quote }}
        status: "True"
        type: Initialized
      - lastTransitionTime: {{ $now | Quote }}
        status: "False"
        reason: ContainersNotReady
        type: Ready
      - lastTransitionTime: {{ $now | Quote }}
        status: "False"
        reason: ContainersNotReady
        type: ContainersReady
      containerStatuses:
      {{ range .spec.containers }}
      - image: {{ .image | Quote }}
        name: {{ .name | Quote }}
        ready: false
        started: true
        restartCount: 0
        state:
          running:
            startedAt: {{ $now | Quote }}
      {{ end }}
      phase: Running
      startTime: {{ $now | Quote }}
"#;

/// The stages KWOK is given.
pub(crate) fn stages() -> String {
    let path = assets::path("kwok-stages.yaml");
    let shipped =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    with_never_ready(&shipped)
}

fn with_never_ready(shipped: &str) -> String {
    let stage = shipped.find(READY_STAGE).expect("KWOK ships a stage pod-ready");
    let at = shipped[stage..].find(CONDITIONS).expect("pod-ready has conditions") + stage + CONDITIONS.len();
    let (before, after) = shipped.split_at(at);
    format!("{before}{EXCEPT}{}\n{NEVER_READY_STAGE}", after.trim_end())
}

/// KWOK for a control plane, with its stages in a file.
pub(crate) fn kwok(kubeconfig: &Path, stages: &Path, log: &Path) -> Builder {
    Process::builder(assets::path("kwok"), log)
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg("--manage-all-nodes=true")
        .arg("--node-lease-duration-seconds=40")
        .arg(format!("--config={}", stages.display()))
}

#[cfg(test)]
mod tests {
    use super::with_never_ready;

    #[test]
    fn only_the_ready_stage_is_changed() {
        let stage = |name: &str| {
            format!(
                "---\nkind: Stage\nmetadata:\n  name: {name}\nspec:\n  selector:\n    matchExpressions:\n    - key: 'x'\n"
            )
        };
        let shipped = stage("pod-delete") + &stage("pod-ready") + &stage("pod-complete");
        let stages = with_never_ready(&shipped);
        let parts: Vec<&str> = stages.split("---\n").collect();
        assert_eq!(parts.len(), 5, "{stages}");
        assert!(parts[2].contains("name: pod-ready") && parts[2].contains("NotIn"), "{stages}");
        assert!(!parts[1].contains("NotIn") && !parts[3].contains("NotIn"), "{stages}");
    }
}
