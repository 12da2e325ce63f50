use std::path::{Path, PathBuf};

use super::*;

/// Where the roads differ for the export at `path`; nothing where they do not.
fn roads(path: &Path) -> Result<Option<String>, String> {
    let mut archive = Archive::open(path).unwrap();
    let root = script::from_archive(&mut archive).unwrap();
    let modules = rave::forward(&root).map_err(|e| format!("modules: {e}"))?;
    let code = graphs(&mut archive, &root, rave::idioms::idiom).map_err(|e| format!("code: {e}"))?;
    if code.latent.is_none() {
        return Err(format!("{:?}", code.remarks));
    }
    Ok(difference(&tidy(&modules).unwrap(), &code.forward))
}

#[test]
#[ignore = "needs exports beside the repository: their paths in RUNNEL_EXPORTS, with colons between"]
fn zz_exports() {
    let mut failed = 0;
    for path in std::env::var("RUNNEL_EXPORTS").unwrap().split(':').map(PathBuf::from) {
        let start = std::time::Instant::now();
        let result = roads(&path);
        failed += usize::from(!matches!(result, Ok(None)));
        println!("{:50} {:?} {result:?}", path.file_name().unwrap().to_string_lossy(), start.elapsed());
    }
    println!("{failed} differ");
}
