"""Find what is wrong with a folder of faces: copies, conflicting labels, pictures that show nobody.

python examples/audit_folder.py faces/
"""

import sys

from mien.audit.findings import audit
from mien.data.sources import open_source

findings = audit(open_source(sys.argv[1]))
print(f"{len(findings.names):,} images: {findings.copy.sum():,} with copies, {findings.blank.sum():,} blank")
print(f"{len(findings.near):,} pairs are near copies: cropped, brightened, compressed or mirrored otherwise")
for name, conflicts in zip(findings.names, findings.conflict, strict=True):
    if conflicts:
        print(f"{name}: a copy of it carries another label")
