#!/usr/bin/env python
# coding: utf-8

# # Exploration of growth

# In[1]:


import math
import os

import numpy as np

RATE = float(os.environ.get("RATE", "0.3"))


# In[2]:


years = np.arange(6)
population = 100 * np.exp(RATE * years)
population.round(2)


# In[3]:


for year, size in zip(years, population):
    print(f"{year}: {size:8.2f}")


# In[4]:


np.savez("growth.npz", years=years, population=population.round(6))
print("doubles every", round(math.log(2) / RATE, 3), "years")
