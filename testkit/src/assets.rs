//! Where the control plane's programs are.
//!
//! `$KUBEBUILDER_ASSETS`, the convention of envtest, comes first. What is not there comes from the
//! folder that `control-plane/build` prints, which builds what is missing: minutes the first time,
//! nothing after.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of a program or file: `kube-apiserver`, `etcd`, `kwok-stages.yaml`, …
///
/// # Panics
/// When it is not there and cannot be built.
pub fn path(name: &str) -> PathBuf {
    if let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let path = Path::new(&dir).join(name);
        if path.exists() {
            return path;
        }
    }
    let path = built().join(name);
    assert!(path.exists(), "{} is missing after a build of the control plane", path.display());
    path
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-plane/build");
        // Its progress goes to the terminal, its answer to us.
        let output = Command::new(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
        let stdout = String::from_utf8(output.stdout).expect("the folder's name is UTF-8");
        PathBuf::from(stdout.trim_end().lines().next_back().expect("the build prints its folder"))
    })
}
