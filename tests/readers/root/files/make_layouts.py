"""Writing of ``lists.root`` and ``leaves.root`` with ROOT: branches of many types.

Run with a Python that has ROOT (6.40 wrote the files in this folder), in an empty folder, for the
dictionaries that ROOT compiles: ``python make_layouts.py``.
"""

import os
from pathlib import Path

import ROOT

ENTRIES = 40
ROOT.gInterpreter.Declare(
    """
    struct Lists {
      std::vector<float> el_pt, el_eta, mu_pt;
      std::vector<short> el_charge;
      std::vector<bool> el_tight;
      std::vector<std::vector<int>> el_hits;
      std::vector<std::vector<std::vector<double>>> deep;
      std::vector<std::string> names;
      std::vector<std::pair<int, float>> pairs;
      std::vector<TLorentzVector> vectors;
      std::set<int> set;
      std::map<int, float> map;
      std::string text;
    };
    struct Mixed { Int_t i; Double_t d; Char_t c; };
    """
)
CODE = """
void write_lists(const char *path) {
  TFile file(path, "recreate", "", 209);
  Lists l;
  TTree lists("lists", "vectors and what is in them");
  lists.SetAutoFlush(20);
  lists.Branch("el_pt", &l.el_pt);
  lists.Branch("el_eta", &l.el_eta);
  lists.Branch("el_charge", &l.el_charge);
  lists.Branch("el_tight", &l.el_tight);
  lists.Branch("el_hits", &l.el_hits);
  lists.Branch("mu_pt", &l.mu_pt);
  lists.Branch("deep", &l.deep);
  lists.Branch("names", &l.names);
  lists.Branch("pairs", &l.pairs);
  lists.Branch("vectors", &l.vectors, 32000, 0);
  lists.Branch("set", &l.set);
  lists.Branch("map", &l.map, 32000, 0);
  lists.Branch("text", &l.text);
  TClonesArray *clones = new TClonesArray("TLorentzVector", 5);
  lists.Branch("clones", &clones, 32000, 99);
  TRandom3 r(7);
  for (int e = 0; e < ENTRIES; ++e) {
    l = Lists();
    int n = r.Integer(4);
    clones->Clear();
    for (int i = 0; i < n; ++i) {
      l.el_pt.push_back(r.Exp(20)); l.el_eta.push_back(r.Uniform(-3, 3));
      l.el_charge.push_back(r.Integer(2) ? 1 : -1); l.el_tight.push_back(r.Integer(2));
      l.el_hits.emplace_back(r.Integer(3), i);
      l.pairs.emplace_back(i, r.Uniform());
      l.vectors.emplace_back(i, e, 3, 4);
      new ((*clones)[i]) TLorentzVector(i, e, 1, 2);
      l.set.insert(r.Integer(100)); l.map[i] = r.Uniform();
    }
    for (unsigned i = 0; i < r.Integer(3); ++i) {
      l.mu_pt.push_back(r.Exp(20));
      l.names.push_back(i ? std::string(300, 'x') : std::string("muon"));
      l.deep.emplace_back(i + 1, std::vector<double>(i, 0.5 * e));
    }
    l.text = e % 7 ? std::string(e, 'a') : std::string();
    lists.Fill();
  }
  lists.Write();
}

void write_leaves(const char *path) {
  TFile file(path, "recreate", "", 209);
  TRandom3 r(8);
  Lists l;
  TTree leaves("leaves", "leaves of old style");
  Mixed mixed; Int_t n; Float_t a[10], b[10][3]; Double_t m[3][2]; Char_t text[20]; Bool_t flag;
  Long64_t big; Double32_t d32; Float16_t f16; UChar_t few = 0; Short_t late = 0;
  leaves.Branch("mixed", &mixed, "i/I:d/D:c/B");
  leaves.Branch("n", &n, "n/I");
  leaves.Branch("a", a, "a[n]/F");
  leaves.Branch("b", b, "b[n][3]/F");
  leaves.Branch("m", m, "m[3][2]/D");
  leaves.Branch("text", text, "text/C");
  leaves.Branch("flag", &flag, "flag/O");
  leaves.Branch("big", &big, "big/L");
  leaves.Branch("d32", &d32, "d32/d");
  leaves.Branch("packed", &d32, "packed/d[-10,10,12]");
  leaves.Branch("f16", &f16, "f16/f");
  for (int e = 0; e < ENTRIES; ++e) {
    mixed = {e, r.Gaus(), char(e)}; n = r.Integer(5); flag = e % 3; big = Long64_t(e) << 40;
    d32 = r.Gaus(); f16 = r.Gaus(); snprintf(text, 20, "entry %d", e);
    for (int i = 0; i < n; ++i) { a[i] = r.Gaus(); for (auto &x : b[i]) x = r.Gaus(); }
    for (auto &row : m) for (auto &x : row) x = r.Gaus();
    leaves.Fill();
  }
  TBranch *behind = leaves.Branch("late", &late, "late/S");
  for (late = 0; late < ENTRIES / 2; ++late) behind->Fill();
  leaves.Write();

  TNtuple ntuple("ntuple", "", "x:y");
  TNtupleD ntupled("ntupled", "", "x:y");
  for (int e = 0; e < ENTRIES; ++e) { ntuple.Fill(e, r.Gaus()); ntupled.Fill(e, r.Gaus()); }
  ntuple.Write(); ntupled.Write();
  TTree empty("empty", "no entries");
  empty.Branch("el_pt", &l.el_pt); empty.Branch("flag", &flag, "flag/O");
  empty.Write();
  TTree friendly("friendly", "with a friend");
  friendly.Branch("few", &few, "few/b");
  for (few = 0; few < 5; ++few) friendly.Fill();
  friendly.AddFriend("leaves");
  friendly.Write();
}
""".replace("ENTRIES", str(ENTRIES))

#: Classes that ROOT has no dictionaries of.
CLASSES = (
    "vector<vector<int> >",
    "vector<vector<vector<double> > >",
    "vector<pair<int,float> >",
    "vector<TLorentzVector>",
    "map<int,float>",
)

if __name__ == "__main__":
    for name in CLASSES:
        ROOT.gInterpreter.GenerateDictionary(name, "vector;map;utility;TLorentzVector.h")
    ROOT.gInterpreter.Declare(CODE)
    # By their names alone: a ROOT file tells the path by which it was written.
    os.chdir(Path(__file__).resolve().parent)
    ROOT.write_lists("lists.root")
    ROOT.write_leaves("leaves.root")
