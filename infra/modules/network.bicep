metadata description = 'A network that only the app uses: private endpoints and names for storage and vault, one address for everything else.'

import { tagSet } from '../types.bicep'

@description('Required. Name of the network.')
param name string

@description('Required. Region.')
param location string

@description('Required. Address space; a /24 is cut into two subnets.')
param addressPrefix string

@description('Required. Storage account.')
param storageName string

@description('Required. Vault.')
param vaultName string

@description('Required. Tags of every resource.')
param tags tagSet

var endpoints = [
  {
    group: 'blob'
    targetId: storage.id
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    group: 'queue'
    targetId: storage.id
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    group: 'table'
    targetId: storage.id
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    group: 'vault'
    targetId: vault.id
    // The suffix of a vault's own name is another one (vault.azure.net).
    zone: 'privatelink.vaultcore.azure.net'
  }
]

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource app_rules 'Microsoft.Network/networkSecurityGroups@2024-01-01' = {
  name: 'nsg-app-${name}'
  location: location
  tags: tags
}

resource endpoint_rules 'Microsoft.Network/networkSecurityGroups@2024-01-01' = {
  name: 'nsg-endpoints-${name}'
  location: location
  tags: tags
}

resource outbound 'Microsoft.Network/publicIPAddresses@2024-01-01' = {
  name: 'pip-${name}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

resource gateway 'Microsoft.Network/natGateways@2024-01-01' = {
  name: 'nat-${name}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: outbound.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
  }
}

resource network_app 'Microsoft.Network/virtualNetworks/subnets@2024-01-01' = {
  parent: network
  name: 'app'
  properties: {
    addressPrefix: cidrSubnet(addressPrefix, 25, 0)
    // Azure no longer gives a new subnet a way out of its own: vendors and Microsoft Graph are reached through this one.
    defaultOutboundAccess: false
    natGateway: {
      id: gateway.id
    }
    networkSecurityGroup: {
      id: app_rules.id
    }
    delegations: [
      {
        name: 'flex'
        properties: {
          // Flex Consumption runs on the container platform, so this and not Microsoft.Web/serverFarms.
          serviceName: 'Microsoft.App/environments'
        }
      }
    ]
  }
}

resource network_endpoints 'Microsoft.Network/virtualNetworks/subnets@2024-01-01' = {
  parent: network
  name: 'endpoints'
  properties: {
    addressPrefix: cidrSubnet(addressPrefix, 25, 1)
    defaultOutboundAccess: false
    networkSecurityGroup: {
      id: endpoint_rules.id
    }
    privateEndpointNetworkPolicies: 'Enabled'
  }
  // Two subnets of one network cannot change at the same time.
  dependsOn: [
    network_app
  ]
}

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [for endpoint in endpoints: {
  name: endpoint.zone
  location: 'global'
  tags: tags
}]

resource zones_link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (endpoint, index) in endpoints: {
  parent: zones[index]
  name: name
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-01-01' = [for endpoint in endpoints: {
  name: 'pe-${endpoint.group}-${name}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: network_endpoints.id
    }
    privateLinkServiceConnections: [
      {
        name: endpoint.group
        properties: {
          privateLinkServiceId: endpoint.targetId
          groupIds: [
            endpoint.group
          ]
        }
      }
    ]
  }
}]

resource privateEndpoints_zone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-01-01' = [for (endpoint, index) in endpoints: {
  parent: privateEndpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: endpoint.group
        properties: {
          privateDnsZoneId: zones[index].id
        }
      }
    ]
  }
}]

@description('Subnet of the app. The provider Microsoft.App must be registered in the subscription.')
output appSubnetId string = network_app.id

@description('Address from which the app reaches the internet.')
output outboundAddress string = outbound.properties.ipAddress
