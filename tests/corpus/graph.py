import networkx as nx

graph = nx.path_graph(4)
nx.write_graphml(graph, "/data/outputs/graph.graphml")
print(nx.diameter(graph))
