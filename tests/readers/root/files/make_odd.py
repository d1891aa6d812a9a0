"""Writing of ``odd.root`` with ROOT: records without members, keys of any length, names.

Run with a Python that has ROOT (6.40 wrote the file in this folder), in an empty folder, for the
dictionaries that ROOT compiles: ``python make_odd.py``.
"""

import os
from pathlib import Path

import ROOT

CODE = """
void write_odd(const char *path) {
  TFile file(path, "recreate", std::string(700, 't').c_str(), 209);
  std::vector<NoMembers> nothing;
  Int_t n;
  TTree tree("tree", std::string(300, 'u').c_str());
  tree.SetAutoFlush(20);
  tree.Branch("nothing", &nothing);
  tree.Branch("n", &n, "n/I");
  for (n = 0; n < 40; ++n) { nothing.resize(n % 4); tree.Fill(); }
  tree.Write();
  file.mkdir("folder", std::string(600, 'v').c_str())->cd();
  TNamed("note", std::string(300, 'w').c_str()).Write();
  TTree named("τ π", "no ASCII");
  named.Branch("π²", &n, "n/I");
  named.Branch("twice", &n, "n/I");
  named.Branch("twice", &n, "n/I");
  for (n = 0; n < 5; ++n) named.Fill();
  named.Write();
}
"""

if __name__ == "__main__":
    Path("NoMembers.h").write_text("#pragma once\nstruct NoMembers {};\n")
    ROOT.gInterpreter.AddIncludePath(str(Path.cwd()))
    ROOT.gInterpreter.GenerateDictionary("NoMembers;vector<NoMembers>", "vector;NoMembers.h")
    ROOT.gInterpreter.Declare(CODE)
    # By its name alone: a ROOT file tells the path by which it was written.
    os.chdir(Path(__file__).resolve().parent)
    ROOT.write_odd("odd.root")
