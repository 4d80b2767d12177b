"""The sources of the data sets, and the papers to cite for them in BibTeX."""

AFSD_HOMEPAGE = "https://arxiv.org/abs/2103.13137"
AFSD = r"""
@inproceedings{lin2021afsd,
  title = {Learning Salient Boundary Feature for Anchor-free Temporal Action Localization},
  author = {Lin, Chuming and Xu, Chengming and Luo, Donghao and Wang, Yabiao and Tai, Ying and
            Wang, Chengjie and Li, Jilin and Huang, Feiyue and Fu, Yanwei},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages = {3320--3329},
  year = {2021},
}
"""

THUMOS14_HOMEPAGE = "https://www.crcv.ucf.edu/THUMOS14/"
THUMOS14 = r"""
@misc{jiang2014thumos,
  title = {{THUMOS} Challenge: Action Recognition with a Large Number of Classes},
  author = {Jiang, Yu-Gang and Liu, Jingen and Roshan Zamir, Amir and Toderici, George and
            Laptev, Ivan and Shah, Mubarak and Sukthankar, Rahul},
  howpublished = {\url{http://crcv.ucf.edu/THUMOS14/}},
  year = {2014},
}
"""

ACTIVITYNET_HOMEPAGE = "http://activity-net.org/"
ACTIVITYNET = r"""
@inproceedings{caba2015activitynet,
  title = {{ActivityNet}: A Large-Scale Video Benchmark for Human Activity Understanding},
  author = {Caba Heilbron, Fabian and Escorcia, Victor and Ghanem, Bernard and
            Niebles, Juan Carlos},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages = {961--970},
  year = {2015},
}
"""
